module alliance.example/tlogcheck

go 1.26.0

// v0.31.0 leaves some full tiles unchecked against their parents; the test with spoilt tiles finds it.
require golang.org/x/mod v0.43.0
