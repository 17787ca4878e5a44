package names_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moorfs/moorfs/cache/names"
)

func TestNamesOfComponents(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, tc := range []struct {
		component string
		file      bool
		want      []string
	}{
		{"x", false, []string{"x"}},
		{"50%", false, []string{"50%"}},
		{"%", false, []string{"%"}},
		{"...", false, []string{"..."}},
		{"\xff\xfe", false, []string{"\xff\xfe"}},
		{"a\nb", false, []string{"a\nb"}},
		{strings.Repeat("a", 255), false, []string{strings.Repeat("a", 255)}},
		{"", false, []string{"%="}},
		{".", false, []string{"%=."}},
		{"..", false, []string{"%=.."}},
		{"a\x00b", false, []string{"%=a%00b"}},
		{"%=x", false, []string{"%=%25=x"}},
		{"%=x%f", false, []string{"%=%25=x%25f"}},
		{"x", true, []string{"%=x%f"}},
		{"", true, []string{"%=%f"}},
		{"50%", true, []string{"%=50%25%f"}},
		{long, false, []string{"%=" + long[:251] + "%+", "%=" + long[251:] + "%."}},
		{long, true, []string{"%=" + long[:251] + "%+", "%=" + long[251:] + "%f"}},
		{long[:254], true, []string{"%=" + long[:251] + "%+", "%=aaa%f"}},
		{long[:250] + "é" + long[:50], false, []string{"%=" + long[:250] + "%+", "%=é" + long[:50] + "%."}},
		{long[:250] + "%" + long[:50], false, []string{"%=" + long[:250] + "%+", "%=%25" + long[:50] + "%."}},
		{long + long, false, []string{"%=" + long[:251] + "%+", "%=" + long[:251] + "%+", "%=" + long[:98] + "%."}},
	} {
		got := names.Split(tc.component)
		if tc.file {
			got = names.SplitFile(tc.component)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%q (file %v) is called %q, want %q", tc.component, tc.file, got, tc.want)
		}
	}
}

func TestNamesThatAreRefused(t *testing.T) {
	a := strings.Repeat("a", 300)
	for _, name := range []string{
		"", ".", "..", "a/b", "a\x00b", a[:256],
		"%=abc",                // needs no escape
		"%=%", "%=%2", "%=%41", // no such pairs
		"%=a%", "%=a%f%", "%=%f%f", "%=%+f",
		"%=%.",    // a rest of nothing
		"%=abc%+", // more would have gone into this chunk
		"%=" + a[:247] + "%+",
		"%=" + a[:252] + "%f",
		"%=a/b%f", "%=\x00",
	} {
		if n, err := names.Parse(name); err == nil {
			t.Errorf("%q is taken for %+v", name, n)
		}
	}
}

func TestNamesThatAreWrongWhereTheyStand(t *testing.T) {
	a := strings.Repeat("a", 300)
	dir := "%=" + a[:251] + "%+"
	for _, tc := range []struct {
		chunks []string
		name   string
		ok     bool
	}{
		{nil, "x", true},
		{nil, "%=..", true},
		{nil, "%=x%f", true},
		{nil, dir, true},
		{nil, "%=" + a[:250] + "%+", true}, // if "%" follows
		{nil, "%=x%.", false},
		{[]string{dir}, "%=" + a[:49] + "%.", true},
		{[]string{dir}, "%=aaa%f", true},
		{[]string{dir}, dir, true},
		{[]string{dir}, "x", false},
		{[]string{dir}, "%=a%.", false}, // 252 bytes fit into one name
		{[]string{dir}, "%=%f", false},
		{[]string{dir}, "%=..", false},
		{[]string{"x"}, "y", false},
		{[]string{"%=" + a[:250] + "%+"}, "%=aaaaaaaa%.", false}, // cut too early
	} {
		if _, err := names.In(tc.chunks, tc.name); (err == nil) != tc.ok {
			t.Errorf("%q in %q: %v, want ok %v", tc.name, tc.chunks, err, tc.ok)
		}
	}
}

func TestListedShowsOnlyWhatIsCutThere(t *testing.T) {
	a := strings.Repeat("a", 300)
	dir := []string{"%=" + a[:251] + "%+"}
	for rest, want := range map[string]string{
		a[:49]: "%=" + a[:49] + "%.",
		a[:5]:  "%=aaaaa%.",
		a[:4]:  "", // an ordinary name of 255 bytes
		"":     "",
		a:      "%=" + a[:251] + "%+",
	} {
		got, ok := names.Listed(dir, rest)
		if ok != (want != "") || got != want {
			t.Errorf("rest of %d bytes is listed as %q, %v, want %q", len(rest), got, ok, want)
		}
	}
	if got, ok := names.ListedFile(dir, "aaa"); !ok || got != "%=aaa%f" {
		t.Errorf("a file beside a directory of 254 bytes is listed as %q, %v", got, ok)
	}
	if got, ok := names.Listed([]string{"x"}, a); ok {
		t.Errorf("an ordinary directory lists a rest as %q", got)
	}
}

func TestBesideFindsTheDirectory(t *testing.T) {
	a := strings.Repeat("a", 300)
	dir := []string{"%=" + a[:251] + "%+"}
	for _, tc := range []struct {
		chunks []string
		rest   string
		above  int
		want   string
	}{
		{nil, "x", 0, "x"},
		{nil, "..", 0, "%=.."},
		{dir, "aaa", 1, a[:254]},
		{dir, a[:49], 0, "%=" + a[:49] + "%."},
	} {
		above, name, ok := names.Beside(tc.chunks, tc.rest)
		if !ok || above != tc.above || name != tc.want {
			t.Errorf("beside %q in %q: %d, %q, %v", tc.rest, tc.chunks, above, name, ok)
		}
	}
	if _, name, ok := names.Beside(nil, a); ok {
		t.Errorf("beside a file that is not there: %q", name)
	}
}

// FuzzComponents checks that a component and its names turn into each other.
func FuzzComponents(f *testing.F) {
	a := strings.Repeat("a", 256)
	for _, s := range []string{"", "x", ".", "..", "%=", "%=x%f", "a\x00", a, a + a + "é%" + a, a[:250] + "é" + a, a[:248] + "\U0001F600" + a} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, component string, file bool) {
		if strings.Contains(component, "/") {
			t.Skip("no component holds a slash")
		}
		path := names.Split(component)
		if file {
			path = names.SplitFile(component)
		}
		var back strings.Builder
		for i, name := range path {
			if len(name) < 1 || len(name) > names.MaxLen || strings.ContainsAny(name, "/\x00") || name == "." || name == ".." {
				t.Fatalf("%q gives the name %q", component, name)
			}
			n, err := names.In(path[:i], name)
			if err != nil {
				t.Fatalf("%q gives %q, of which %q is refused", component, path, name)
			}
			last := i == len(path)-1
			if n.Continues == last || n.File != (last && file) || n.Rest != (last && !file && i > 0) {
				t.Fatalf("%q gives %q, of which %q is %+v", component, path, name, n)
			}
			listed, ok := names.Listed(path[:i], component[back.Len():])
			if file {
				listed, ok = names.ListedFile(path[:i], component[back.Len():])
			}
			if !ok || listed != name {
				t.Fatalf("%q is listed as %q, %v, want %q", component, listed, ok, name)
			}
			back.WriteString(n.Component)
		}
		if back.String() != component {
			t.Fatalf("%q comes back as %q", component, back.String())
		}
	})
}

// FuzzNames checks that a name that is accepted is the only one of its
// component there.
func FuzzNames(f *testing.F) {
	a := strings.Repeat("a", 256)
	for _, s := range []string{"x", "%=", "%=%f", "%=%25=%f", "%=a%00", "%=" + a[:251] + "%+", "%=" + a[:248] + "%+", "%=x%."} {
		f.Add("", s)
		f.Add("%="+a[:251]+"%+", s)
	}
	f.Fuzz(func(t *testing.T, chunk, name string) {
		var chunks []string
		if chunk != "" {
			chunks = []string{chunk}
		}
		n, err := names.In(chunks, name)
		if err != nil || n.Continues {
			return
		}
		component := n.Component
		if chunk != "" {
			above, err := names.Parse(chunk)
			if err != nil {
				t.Fatalf("%q is accepted in %q, which is refused", name, chunk)
			}
			component = above.Component + component
		}
		want := names.Split(component)
		if n.File {
			want = names.SplitFile(component)
		}
		if !slices.Equal(append(chunks, name), want) {
			t.Fatalf("%q in %q is accepted, but %q is called %q", name, chunks, component, want)
		}
	})
}
