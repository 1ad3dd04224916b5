package p2p

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

func newCode(t *testing.T) Code {
	t.Helper()
	c, err := NewCode()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCodeText(t *testing.T) {
	c := newCode(t)
	text := c.Text()
	if !regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{4}-){4}[0-9A-HJKMNP-TV-Z]$`).MatchString(text) {
		t.Fatalf("%q is not four groups of four and one more", text)
	}
	bare := strings.ReplaceAll(text, "-", "")
	misread := strings.NewReplacer("0", "O", "1", "l").Replace(text)
	for _, s := range []string{text, strings.ToLower(text), bare, " " + text + "\n", strings.ReplaceAll(text, "-", " "), misread, strings.ReplaceAll(misread, "l", "i")} {
		if got, err := ParseCode(s); err != nil || got != c {
			t.Errorf("%q: %v", s, err)
		}
	}
	for name, s := range map[string]string{
		"empty": "", "cut": text[:len(text)-1], "cut in the middle": text[5:], "longer": text + "A", "no letter of ours": "U" + text[1:], "a token": "shoal1abcdef", "not ASCII": "Ä" + bare[2:],
	} {
		if _, err := ParseCode(s); !errors.Is(err, ErrCodeMalformed) {
			t.Errorf("%s: %v; want ErrCodeMalformed", name, err)
		} else if len(s) > 6 && strings.Contains(err.Error(), s) {
			t.Errorf("%s: the error quotes it: %v", name, err)
		}
	}
}

// Every wrong character and every two that changed places are noticed, in codes
// of all kinds.
func TestCodeTyposAreNoticed(t *testing.T) {
	for _, c := range []Code{newCode(t), {}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		bare := []byte(strings.ReplaceAll(c.Text(), "-", ""))
		noticed := func(typo []byte) {
			if bytes.Equal(typo, bare) {
				return
			}
			if _, err := ParseCode(string(typo)); !errors.Is(err, ErrCodeMalformed) {
				t.Errorf("%s for %s: %v", typo, bare, err)
			}
		}
		for i := range bare {
			for _, letter := range []byte(codeLetters) {
				typo := bytes.Clone(bare)
				typo[i] = letter
				noticed(typo)
			}
			for j := range i {
				typo := bytes.Clone(bare)
				typo[i], typo[j] = typo[j], typo[i]
				noticed(typo)
			}
		}
	}
}

func TestCodeIsNotPrinted(t *testing.T) {
	c := Code{1, 2, 3}
	text, _ := c.MarshalText()
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%x %d %#v %s", c, c, c, &c), string(text)} {
		if strings.Contains(s, "010203") || strings.Contains(s, "1 2 3") || strings.Contains(s, "0x1, 0x2") || strings.Contains(s, c.Text()[:4]) {
			t.Errorf("the code shows in %q", s)
		}
	}
}

func TestJoinWithCode(t *testing.T) {
	c, code := newJoinCase(t), newCode(t)
	msg, finish, err := code.Ask(c.joiner)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(msg, []byte(c.joiner)) {
		t.Error("the joiner's ID is in the clear")
	}
	if id, ok := RequestID(msg); !ok || len(id) != 16 {
		t.Errorf("the request's ID is %q, %v", id, ok)
	}
	if who, ok := code.Fits(msg); !ok || who != c.joiner {
		t.Errorf("the code fits: %v, by %s", ok, who)
	}
	reply, who, err := code.Admit(c.key, c.member, msg)
	if err != nil || who != c.joiner {
		t.Fatalf("Admit: joiner %s, %v; want %s", who, err, c.joiner)
	}
	if bytes.Contains(reply, c.key[:]) {
		t.Error("the key is in the clear")
	}
	// What others answer first, even a point that spoils a handshake, harms nothing.
	for name, bad := range map[string][]byte{"nothing": nil, "zeros": make([]byte, len(reply)), "the question": msg, "cut": reply[:len(reply)-1], "long": make([]byte, admissionLimit+1)} {
		if _, err := finish(bad); err == nil || len(bad) <= admissionLimit && !errors.Is(err, ErrCodeWrong) {
			t.Errorf("%s for an answer: %v", name, err)
		}
	}
	for range 2 {
		got, err := finish(reply)
		if err != nil || got.Key != c.key || got.Member.ID != c.member.ID || len(got.Member.Addrs) != 2 {
			t.Errorf("got %v, %v", got, err)
		}
	}
	// Only the joiner can read it, whoever knows the code.
	_, other, err := code.Ask(c.joiner)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other(reply); !errors.Is(err, ErrCodeWrong) {
		t.Errorf("the answer to another request: %v", err)
	}
}

func TestCodeRefused(t *testing.T) {
	c, code := newJoinCase(t), newCode(t)
	msg, _, err := code.Ask(c.joiner)
	if err != nil {
		t.Fatal(err)
	}
	nonce := bytes.Clone(msg)
	nonce[1]++
	token, _, err := Ask(c.token(t), c.joiner, c.now)
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		code Code
		msg  []byte
	}{
		"another code": {newCode(t), msg}, "another nonce": {code, nonce}, "cut": {code, msg[:len(msg)-1]}, "nonce only": {code, msg[:codePublicSize]},
		"empty": {code, nil}, "long": {code, append(bytes.Clone(msg), make([]byte, codeRequestLimit)...)}, "a token's request": {code, token},
	} {
		reply, _, err := x.code.Admit(c.key, c.member, x.msg)
		if !errors.Is(err, ErrCodeWrong) || reply != nil {
			t.Errorf("%s: %v; want ErrCodeWrong", name, err)
		}
	}
	if _, ok := RequestID(token); ok {
		t.Error("a token's request has an ID")
	}
	if _, _, err := Admit(c.key, c.member, c.now, msg); !errors.Is(err, ErrTokenMalformed) {
		t.Errorf("a code's request for a token's: %v", err)
	}
}
