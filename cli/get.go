package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/urfave/cli/v2"

	"github.com/shoal-mesh/shoal/node/api"
	"github.com/shoal-mesh/shoal/scheduler/job"
)

func (p *program) get() *cli.Command {
	return &cli.Command{
		Name:        "get",
		Usage:       "fetch a job's outputs, or anything by its CID",
		ArgsUsage:   "JOB|ipfs://CID[/PATH]",
		Description: p.examples("Each output of a job becomes DIR/NAME; content becomes DIR itself. Nothing that is there already is overwritten. Prints what was written.", `node get "$(node submit examples/wordcount/job.yaml --wait)" -o out`, `node get "ipfs://$(node add README.md)" -o copy.md`),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write to `DIR`", DefaultText: "the job's name or ID, or the CID"},
			p.homeFlag(),
		},
		Action: p.runGet,
	}
}

func (p *program) runGet(c *cli.Context) error {
	if err := need(c, 1, 1); err != nil {
		return err
	}
	client, err := p.client(c)
	if err != nil {
		return err
	}
	what, into := c.Args().First(), c.String("output")
	ref, isContent, err := contentRef(what)
	if err != nil {
		return err
	}
	if !isContent {
		return p.fetchJob(c.Context, client, what, into)
	}
	if into == "" {
		into = filepath.Base(filepath.FromSlash(ref))
	}
	return p.fetch(c.Context, client, ref, into)
}

// shortestCID is fewer characters than any CID of a real hash has, and more
// than a job's ID.
const shortestCID = 30

// contentRef takes ipfs://CID[/PATH], /ipfs/CID[/PATH] or CID[/PATH] for
// content and gives it back as CID[/PATH]. Everything else is a job.
func contentRef(s string) (ref string, ok bool, err error) {
	bare, given := strings.CutPrefix(s, "ipfs://")
	if !given {
		bare, given = strings.CutPrefix(s, "/ipfs/")
	}
	if !given {
		id, _, _ := strings.Cut(s, "/")
		if _, err := cid.Decode(id); err != nil || len(id) < shortestCID {
			return "", false, nil
		}
	}
	bare = strings.TrimSuffix(bare, "/")
	if _, _, err := job.ParseIPFS("ipfs://" + bare); err != nil {
		return "", false, usage("%w", err)
	}
	return bare, true, nil
}

// content is contentRef where nothing but content will do.
func (p *program) content(s string) (ref string, err error) {
	ref, ok, err := contentRef(s)
	if err == nil && !ok {
		err = usage("%q is no CID; %s prints that of a file or folder", s, p.command("add", "PATH"))
	}
	return ref, err
}

// fetchJob writes every output of a job into its folder below dir.
func (p *program) fetchJob(ctx context.Context, client *api.Client, id, dir string) error {
	j, err := client.Job(ctx, id)
	if err != nil {
		return err
	}
	if !j.Terminal() {
		return failed("job %s is %v, so its outputs are not there yet; wait for it with: %s", j.ID, j.State(), p.command("wait", string(j.ID)))
	}
	if dir == "" {
		dir = j.Spec.Name
	}
	if dir == "" {
		dir = string(j.ID)
	}
	var outputs []output
	for _, t := range j.Tasks {
		if t.Result != nil {
			for _, o := range t.Result.Outputs {
				outputs = append(outputs, output{o, t.Executor})
			}
		}
	}
	if len(outputs) == 0 && j.State() != job.Done {
		return failed("job %s %s, and has no outputs", j.ID, why(j))
	}
	if len(outputs) == 0 {
		p.say("job %s has no outputs", j.ID)
		return nil
	}
	var names []string
	for _, o := range outputs {
		// The names come from a node: none may lead out of dir.
		if !filepath.IsLocal(o.Name) || strings.ContainsAny(o.Name, `/\`) || o.Name == "." {
			return failed("job %s has an output with the name %q, which is no file name", j.ID, o.Name)
		}
		names = append(names, o.Name)
	}
	if err := checkFree(dir, names); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make the folder for the outputs: %w", err)
	}
	for _, o := range outputs {
		if err := p.fetch(ctx, client, o.CID, filepath.Join(dir, o.Name)); err != nil {
			return fmt.Errorf("fetch output %s: %w", o.Name, p.whoHasIt(ctx, client, j.ID, o.at, err))
		}
	}
	return nil
}

// output is an output of a job, with the peer that keeps its data.
type output struct {
	job.Output
	at job.PeerID
}

// whoHasIt is why a job's data did not come, with the peer at which it lies where
// that is not there.
func (p *program) whoHasIt(ctx context.Context, client *api.Client, id job.ID, at job.PeerID, err error) error {
	switch api.CodeOf(err) {
	case api.CodeNoSuchCID, api.CodeTimeout, api.CodeUnavailable:
	default:
		return err
	}
	live, lost := client.Peers(ctx)
	if lost != nil || at == "" || slices.ContainsFunc(live, func(l api.Peer) bool { return l.ID == at }) {
		return err
	}
	return api.Errorf(api.CodeOf(err), "its data lies at peer %s, which is not there; start that node again, and then: %s (%w)", at.Short(), p.command("get", string(id)), err)
}

// checkFree refuses to write over what is there.
func checkFree(dir string, names []string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return usage("%s exists and is no folder; choose another with -o", dir)
	}
	for _, n := range names {
		if err := mustBeFree(filepath.Join(dir, n)); err != nil {
			return err
		}
	}
	return nil
}

func mustBeFree(path string) error {
	switch _, err := os.Lstat(path); {
	case err == nil:
		return usage("%s exists, and nothing is overwritten; move it, or choose another place", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return usage("look at %s: %w", path, err)
	}
}

// fetch writes content to path, all of it or nothing.
func (p *program) fetch(ctx context.Context, client *api.Client, ref, path string) error {
	path = filepath.Clean(path)
	if err := mustBeFree(path); err != nil {
		return err
	}
	dir, name := filepath.Dir(path), filepath.Base(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make the folder for %s: %w", path, err)
	}
	// Beside the target, so that the last step is one rename.
	tmp, err := os.MkdirTemp(dir, "."+name+".part-")
	if err != nil {
		return fmt.Errorf("make room for %s: %w", path, err)
	}
	defer os.RemoveAll(tmp)
	watched, done := p.watch(ctx, name)
	skipped, err := receive(watched, client, ref, tmp)
	done()
	if err != nil {
		return err
	}
	for _, s := range skipped {
		p.say("left out %s: %s", oneLine(s.name), oneLine(s.why))
	}
	if err := mustBeFree(path); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(tmp, wholeName), path); err != nil {
		return fmt.Errorf("put %s into its place: %w", path, err)
	}
	row(p.out, path)
	return nil
}
