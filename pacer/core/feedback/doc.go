// Package feedback tells what the failure of a pull means: whether it was the
// limit, whether the attempt can have been charged, and whether waiting helps.
//
// What it does not do: it does not watch anything and decides on no hold; it reads
// the words of kubelets and runtimes, which are hostile input.
package feedback
