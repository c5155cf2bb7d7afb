// Package reference writes the reference pages of the API and of the Reasons from
// the code and the CRDs; its test fails when a page is not what would be written:
//
//	go test ./docs/reference -update
//
// It describes no behaviour; docs/concepts.md does.
package reference
