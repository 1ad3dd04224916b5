package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) submit() *cli.Command {
	return &cli.Command{
		Name:      "submit",
		Usage:     "run the job that a file describes",
		ArgsUsage: "FILE|-",
		Description: p.examples("Checks the file, adds the local files that it names to IPFS, and prints the job's ID. The job runs whether or not this command waits for it. `schema job` says what can stand in the file.",
			"node submit examples/wordcount/job.yaml --follow",
			"node submit examples/wordcount/job.yaml --get out",
			"node submit examples/wordcount/job.yaml --dry-run"),
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "wait", Usage: "wait until the job has ended; exit with 1 if it failed", DisableDefaultText: true},
			&cli.BoolFlag{Name: "follow", Usage: "wait, and print its output as it comes", DisableDefaultText: true},
			&cli.StringFlag{Name: "get", Usage: "wait, and fetch its outputs into `DIR`"},
			&cli.BoolFlag{Name: "dry-run", Usage: "check, print the job with its defaults, and submit nothing", DisableDefaultText: true},
			timeoutFlag(), formatFlag(), p.homeFlag(),
		},
		Action: p.runSubmit,
	}
}

func (p *program) runSubmit(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	as, err := format(c)
	if err != nil {
		return err
	}
	into := c.String("get")
	waits := c.Bool("wait") || c.Bool("follow") || into != ""
	if c.IsSet("timeout") && !waits {
		return usage("--timeout says how long to wait, and needs --wait, --follow or --get; how long the job may run is timeout: in its file")
	}
	file, err := p.openJob(c.Args().First())
	if err != nil {
		return err
	}
	defer file.folder.Close()
	if c.Bool("dry-run") {
		if as == "table" || as == "wide" {
			as = "yaml"
		}
		return p.data(as, file.spec.WithDefaults())
	}
	if into != "" {
		// Better now than after the job has run.
		if err := checkFree(into, outputNames(file.spec)); err != nil {
			return err
		}
	}
	client, err := p.client(c)
	if err != nil {
		return err
	}
	receipt, err := p.send(c.Context, client, file)
	if err != nil {
		return err
	}
	if err := p.show(as, receipt, func(w io.Writer, _ bool) { row(w, receipt.ID) }); err != nil {
		return err
	}
	ctx, cancel := patient(c)
	defer cancel()
	v := p.vigil(client, string(receipt.ID))
	v.known.Store(true)
	switch {
	case c.Bool("follow"):
		err = v.follow(ctx)
	case waits:
		err = v.await(ctx)
	}
	switch {
	case err != nil:
		return err
	case into != "":
		return p.fetchJob(c.Context, client, string(receipt.ID), into)
	case waits && len(file.spec.Outputs) > 0:
		p.say("done; fetch the results with: %s", p.command("get", string(receipt.ID)))
	}
	return nil
}

// jobFile is a job file that was read and checked, with the folder that its
// local references start from.
type jobFile struct {
	spec   job.Spec
	folder *os.Root
}

// openJob reads a job file, - for stdin, and checks it with the files it names.
func (p *program) openJob(name string) (jobFile, error) {
	in, dir, shown := p.in, ".", "stdin"
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return jobFile{}, usage("read the job file %s: %w", name, cause(err))
		}
		defer f.Close()
		in, dir, shown = f, filepath.Dir(name), name
	}
	text, err := io.ReadAll(io.LimitReader(in, job.MaxFile+1))
	if err != nil {
		return jobFile{}, usage("read the job file: %w", err)
	}
	// Editors on Windows put a mark before UTF-8, which is no part of the file.
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	spec, err := job.Parse(text, shown)
	if err != nil && strings.Contains(err.Error(), "'\t'") {
		return jobFile{}, usage("a tab cannot indent a line of YAML at %s:%d:1; write spaces in its place", shown, tabbed(text))
	}
	if err != nil {
		return jobFile{}, err
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return jobFile{}, usage("open the job file's folder: %w", err)
	}
	if err := checkLocal(folder, spec, shown); err != nil {
		folder.Close()
		return jobFile{}, err
	}
	return jobFile{spec, folder}, nil
}

// tabbed is the first line that is indented with a tab.
func tabbed(text []byte) (line int) {
	for l := range bytes.Lines(text) {
		line++
		if indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]; bytes.ContainsRune(indent, '\t') {
			break
		}
	}
	return line
}

// checkLocal finds out what would go wrong with the local files of a job only
// after some of them were added.
func checkLocal(folder *os.Root, spec job.Spec, file string) error {
	for _, ref := range spec.Local() {
		info, err := folder.Stat(filepath.FromSlash(ref))
		switch {
		case err != nil && filepath.IsLocal(ref) && errors.Is(err, os.ErrNotExist):
			return usage("%s names %q, and there is no such file beside it", file, ref)
		case err != nil:
			return usage("%s names %q, which cannot be read: %w", file, ref, cause(err))
		case !info.IsDir() && !info.Mode().IsRegular():
			return usage("%s names %q, which is neither a file nor a folder", file, ref)
		}
		if spec.Task.WASM != nil && ref == spec.Task.WASM.Module {
			if err := checkModule(folder, ref); err != nil {
				return usage("task.wasm.module: %q %w", ref, err)
			}
		}
	}
	return nil
}

func checkModule(folder *os.Root, ref string) error {
	f, err := openRegular(folder, filepath.FromSlash(ref))
	if err != nil {
		return fmt.Errorf("cannot be read: %w", cause(err))
	}
	defer f.Close()
	header := make([]byte, 8)
	n, err := io.ReadFull(f, header)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("cannot be read: %w", err)
	}
	return job.CheckModule(header[:n])
}

// send adds the job's local files and submits it. An answer that was lost on
// the way is asked for again with the same nonce, so there is one job.
func (p *program) send(ctx context.Context, client *api.Client, file jobFile) (api.Receipt, error) {
	added := make(map[string]string)
	for _, ref := range file.spec.Local() {
		a, err := addFrom(ctx, client, file.folder, filepath.FromSlash(ref), "")
		if err != nil {
			return api.Receipt{}, fmt.Errorf("add %s: %w", ref, err)
		}
		p.say("added %s (%s) as %s", ref, a.Size.Rough(), a.CID)
		added[ref], p.met = "ipfs://"+a.CID, true
	}
	submission := api.Submission{Spec: file.spec.Replace(added), Nonce: rand.Text()}
	var receipt api.Receipt
	err := p.vigil(client, "").again(ctx, func() (err error) {
		receipt, err = client.Submit(ctx, submission)
		return err
	})
	p.met = p.met || err == nil
	return receipt, err
}

func outputNames(s job.Spec) []string {
	var out []string
	for _, o := range s.Outputs {
		out = append(out, o.Name)
	}
	return out
}
