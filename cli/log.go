package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"github.com/urfave/cli/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// The words of --log-level and --log-format, the default first.
var (
	logLevels  = []string{"info", "debug", "warn", "error"}
	logFormats = []string{"auto", "console", "json"}
)

func logFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "log-level", EnvVars: []string{"SHOAL_LOG_LEVEL"}, Value: logLevels[0], Usage: "log what is at least at `LEVEL`: debug, info, warn or error"},
		&cli.StringFlag{Name: "log-format", EnvVars: []string{"SHOAL_LOG_FORMAT"}, Value: logFormats[0], Usage: "write the log as `FORMAT`: console for people, json for programs, auto for what stderr is"},
	}
}

// logging is how to log, as the flags have it.
type logging struct {
	level   zapcore.Level
	encoder zapcore.Encoder
}

// logging reads the flags of logFlags.
func (p *program) logging(c *cli.Context) (l logging, err error) {
	level, as := c.String("log-level"), c.String("log-format")
	if !slices.Contains(logLevels, level) {
		return l, usage("--log-level %s is no level; known are %s", level, strings.Join(logLevels, ", "))
	}
	if !slices.Contains(logFormats, as) {
		return l, usage("--log-format %s is no format; known are %s", as, strings.Join(logFormats, ", "))
	}
	if l.level, err = zapcore.ParseLevel(level); err != nil {
		return l, usage("--log-level %s: %w", level, err)
	}
	l.encoder = jsonEncoder()
	if as == "console" || as == "auto" && terminal(p.err) {
		l.encoder = consoleEncoder()
	}
	return l, nil
}

func jsonEncoder() zapcore.Encoder {
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	return zapcore.NewJSONEncoder(c)
}

// consoleEncoder writes plain letters: there is no colour for NO_COLOR to turn
// off.
func consoleEncoder() zapcore.Encoder {
	c := zap.NewDevelopmentEncoderConfig()
	c.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	return zapcore.NewConsoleEncoder(c)
}

// logger writes to stderr. Where the node is all that this process does, what the
// libraries log goes there too.
func (p *program) logger(l logging) (*zap.Logger, error) {
	to := zapcore.Lock(zapcore.AddSync(p.err))
	log := zap.New(zapcore.NewCore(l.encoder, to, l.level))
	if !p.process {
		return log, nil
	}
	return log, routeLibraries(log, zapcore.NewCore(l.encoder, to, zapcore.DebugLevel))
}

// routeLibraries sends what Kubo and libp2p log into core, and what others print
// with Go's log package into log. Each has one logger for the whole process, which
// is why this is done here and not by a node, of which a process may have several.
//
// They are quiet: only errors pass, of which each library decides what is one.
// GOLOG_LOG_LEVEL, which both know, asks for more, for instance "error,dht=debug".
func routeLibraries(log *zap.Logger, core zapcore.Core) error {
	golog.SetPrimaryCore(core)
	gologshim.SetDefaultHandler(golog.SlogHandler())
	if os.Getenv("GOLOG_LOG_LEVEL") == "" {
		golog.SetAllLoggers(golog.LevelError)
	}
	if _, err := zap.RedirectStdLogAt(log.Named("library"), zapcore.WarnLevel); err != nil {
		return fmt.Errorf("route the logs of libraries: %w", err)
	}
	return nil
}
