// Package browser opens pages in a real Chromium without a screen and asks it what
// it shows. It speaks the DevTools protocol over a pipe: messages of JSON, a NUL
// after each.
//
// What it does not do: it clicks nothing, and it lets a page load nothing. It is
// for tests.
package browser
