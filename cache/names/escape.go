package names

import "strings"

// encodedLen is how many bytes of a body a byte of a component takes.
func encodedLen(c byte) int {
	if c == '%' || c == 0 {
		return 3
	}
	return 1
}

var encoder = strings.NewReplacer("%", "%25", "\x00", "%00")

// encode returns the body of an escaped name.
func encode(component string) string { return encoder.Replace(component) }

// decode is the reverse of encode. It is not ok for what encode never returns.
func decode(body string) (string, bool) {
	if strings.IndexByte(body, 0) >= 0 {
		return "", false
	}
	first := strings.IndexByte(body, '%')
	if first < 0 {
		return body, true
	}
	var b strings.Builder
	for rest := body; ; {
		plain, after, found := strings.Cut(rest, "%")
		b.WriteString(plain)
		if !found {
			return b.String(), true
		}
		switch {
		case strings.HasPrefix(after, "25"):
			b.WriteByte('%')
		case strings.HasPrefix(after, "00"):
			b.WriteByte(0)
		default:
			return "", false
		}
		rest = after[2:]
	}
}
