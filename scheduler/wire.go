package scheduler

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

// The wire form is deterministic CBOR: an array of version, type and body.
const (
	wireVersion = 1

	// MaxFrame is the size of the largest message, in bytes: an Award with the
	// largest spec.
	MaxFrame = 512 << 10
	// MaxSpec is the size of the largest spec that is taken, in bytes, encoded.
	MaxSpec = 256 << 10
	// MaxBid is the size of the largest standing bid, in bytes.
	MaxBid = 256

	maxText   = 4 << 10 // bytes of a reason or an error
	maxAsked  = 256     // attempts in one Ask or Holding
	maxTask   = 1 << 20 // no job has as many tasks, no task as many attempts
	maxAmount = 1 << 50 // no machine has as much of anything
)

type kind uint8

// Types on the wire. They are never given a new meaning.
const (
	kindAward kind = iota + 1
	kindWithdraw
	kindAsk
	kindReportAck
	kindAccept
	kindDecline
	kindStarted
	kindReport
	kindHolding
	kindBid
)

func (Award) kind() kind     { return kindAward }
func (Withdraw) kind() kind  { return kindWithdraw }
func (Ask) kind() kind       { return kindAsk }
func (ReportAck) kind() kind { return kindReportAck }
func (Accept) kind() kind    { return kindAccept }
func (Decline) kind() kind   { return kindDecline }
func (Started) kind() kind   { return kindStarted }
func (Report) kind() kind    { return kindReport }
func (Holding) kind() kind   { return kindHolding }

type envelope struct {
	_       struct{} `cbor:",toarray"`
	Version uint8
	Kind    kind
	Body    cbor.RawMessage
}

var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	// Anything that a decoder could be made to spend memory on is bounded; what
	// a later version adds to a message is ignored.
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		MaxNestedLevels: 12, MaxArrayElements: 4096, MaxMapPairs: 4096,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // the options above contradict one another
	}
	return v
}

// Encode is the wire form of m. It fails if m is larger than MaxFrame.
func Encode(m Message) ([]byte, error) {
	frame, err := seal(m.kind(), m)
	if err == nil && len(frame) > MaxFrame {
		err = fmt.Errorf("message of %d bytes, at most %d are sent", len(frame), MaxFrame)
	}
	return frame, err
}

// readable reports why the receiver of m could not read it, if so.
func readable(m Message) error {
	frame, err := Encode(m)
	if err == nil {
		_, err = Decode(frame)
	}
	return err
}

func seal(k kind, body any) ([]byte, error) {
	b, err := encoding.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return encoding.Marshal(envelope{Version: wireVersion, Kind: k, Body: b})
}

func open(frame []byte, limit int) (envelope, error) {
	var e envelope
	if len(frame) > limit {
		return e, fmt.Errorf("message of %d bytes, at most %d are read", len(frame), limit)
	}
	if err := decoding.Unmarshal(frame, &e); err != nil {
		return e, fmt.Errorf("decoding a message: %w", err)
	}
	if e.Version != wireVersion {
		return e, fmt.Errorf("message of version %d, this node speaks %d", e.Version, wireVersion)
	}
	return e, nil
}

// Decode reads the wire form of a message. What it returns is within bounds;
// whether it is true is another matter.
func Decode(frame []byte) (Message, error) {
	e, err := open(frame, MaxFrame)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case kindAward:
		return body[Award](e, func(m Award) bool { return attemptOK(m.Attempt) && needOK(m.Spec) })
	case kindWithdraw:
		return body[Withdraw](e, func(m Withdraw) bool { return attemptOK(m.Attempt) })
	case kindAsk:
		return body[Ask](e, func(m Ask) bool { return each(m.Attempts, attemptOK) })
	case kindReportAck:
		return body[ReportAck](e, func(m ReportAck) bool { return attemptOK(m.Attempt) })
	case kindAccept:
		return body[Accept](e, func(m Accept) bool { return attemptOK(m.Attempt) && bidOK(m.Bid) })
	case kindDecline:
		return body[Decline](e, func(m Decline) bool { return attemptOK(m.Attempt) && bidOK(m.Bid) && len(m.Reason) <= maxText })
	case kindStarted:
		return body[Started](e, func(m Started) bool { return attemptOK(m.Attempt) })
	case kindReport:
		return body[Report](e, func(m Report) bool {
			return attemptOK(m.Attempt) && bidOK(m.Bid) && len(m.Failure) <= maxText && resultOK(m.Result)
		})
	case kindHolding:
		return body[Holding](e, func(m Holding) bool {
			return each(m.Attempts, func(h Held) bool { return attemptOK(h.Attempt) && h.Phase >= Gone && h.Phase <= Ended })
		})
	}
	return nil, fmt.Errorf("message of unknown type %d", e.Kind)
}

var errBounds = errors.New("a value in it is out of bounds")

func body[M any](e envelope, ok func(M) bool) (Message, error) {
	var m M
	if err := decoding.Unmarshal(e.Body, &m); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", reflect.TypeFor[M]().Name(), err)
	}
	if !ok(m) {
		return nil, fmt.Errorf("decoding %s: %w", reflect.TypeFor[M]().Name(), errBounds)
	}
	return any(m).(Message), nil
}

// EncodeBid is the wire form of a standing bid.
func EncodeBid(b Bid) ([]byte, error) { return seal(kindBid, b) }

// DecodeBid reads a standing bid from the bids topic. It is that topic's
// validator: from is the peer whose signature the message carries.
func DecodeBid(from job.PeerID, frame []byte) (Bid, error) {
	var b Bid
	e, err := open(frame, MaxBid)
	switch {
	case err != nil:
		return b, fmt.Errorf("bid of %s: %w", from.Short(), err)
	case e.Kind != kindBid:
		return b, fmt.Errorf("bid of %s: message of type %d is none", from.Short(), e.Kind)
	}
	if err := decoding.Unmarshal(e.Body, &b); err != nil {
		return Bid{}, fmt.Errorf("bid of %s: %w", from.Short(), err)
	}
	if !bidOK(b) {
		return Bid{}, fmt.Errorf("bid of %s: %w", from.Short(), errBounds)
	}
	return b, nil
}

func attemptOK(a job.Attempt) bool {
	return a.Job != "" && len(a.Job) <= 64 && a.Task >= 0 && a.Task < maxTask && a.Attempt > 0 && a.Attempt < maxTask
}

func roomOK(r job.Room) bool {
	return r.CPU >= 0 && r.CPU <= maxAmount && r.Memory >= 0 && r.Memory <= maxAmount
}

// needOK looks at what the spec says as well: need has a floor.
func needOK(s job.Spec) bool {
	return roomOK(need(s)) && roomOK(job.Room{CPU: s.Resources.CPU, Memory: s.Resources.Memory})
}

func bidOK(b Bid) bool {
	return roomOK(b.Free) && roomOK(b.Total) && b.Total.Holds(b.Free) && b.Jobs >= 0
}

func resultOK(r job.Result) bool {
	return len(r.Error) <= maxText && r.Validate() == nil
}

func each[T any](list []T, ok func(T) bool) bool {
	if len(list) > maxAsked {
		return false
	}
	for _, v := range list {
		if !ok(v) {
			return false
		}
	}
	return true
}
