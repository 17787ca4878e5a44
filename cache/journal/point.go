//go:build !crashpoints

package journal

// crashPoints reports whether this build can be told to die at a Point.
const crashPoints = false

// Point names a step at which a crash must lose nothing. It does nothing in
// this build; with the build tag crashpoints it can kill the process.
func Point(string) {}

// pretendedBoot is a boot id to take for the kernel's: none in this build.
func pretendedBoot() string { return "" }
