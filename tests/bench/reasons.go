package main

// reasons says of a target that is not met what stands in the way, physically
// or in the kernel, as a profile shows it: "work, measure" → reason.
var reasons = map[string]string{}
