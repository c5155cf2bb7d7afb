// Package report says what simulated runs came to: figures by policy, whether
// goals were met, and a page to look at.
//
// What it does not do: it runs nothing and knows neither scenarios nor the
// model. It is given raw counts and times and turns them into a [Result], whose
// field names are API.
package report
