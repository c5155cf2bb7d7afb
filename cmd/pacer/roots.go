package main

// The image holds this program alone, no authorities to trust. These are
// Mozilla's; the machine's go first where it has some.
import _ "golang.org/x/crypto/x509roots/fallback"
