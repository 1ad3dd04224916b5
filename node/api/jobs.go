package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/shoal-mesh/shoal/scheduler/job"
)

type jobPath struct {
	ID string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9]+$" patternDescription:"letters and digits" doc:"A job's ID, or as many of its first characters as are unique."`
}

type logsQuery struct {
	ID      string `path:"id" maxLength:"64" pattern:"^[A-Za-z0-9]+$" patternDescription:"letters and digits" doc:"A job's ID, or as many of its first characters as are unique."`
	Follow  bool   `query:"follow" doc:"Send what comes, until the job has ended."`
	Attempt int    `query:"attempt" minimum:"0" doc:"The attempt that the offsets are of; 0 or none: the current one. If another counts by now, its output is sent from the start."`
	Stdout  int64  `query:"stdout" minimum:"0" doc:"Where to start in standard output, in bytes."`
	Stderr  int64  `query:"stderr" minimum:"0" doc:"Where to start in standard error, in bytes."`
}

func submitRoute(r *routes, b Jobs) {
	type request struct{ Body Submission }
	route(r, huma.Operation{
		OperationID: "submit-job", Method: http.MethodPost, Path: "/v1/jobs",
		Summary: "Run a job", DefaultStatus: http.StatusCreated,
		Description: "When this answers, the job is on disk. The nonce makes it safe to send again: the same one gives the same job.",
	}, func(ctx context.Context, in *request) (*reply[Receipt], error) {
		receipt, err := b.Submit(ctx, in.Body)
		if err != nil {
			return nil, err
		}
		return &reply[Receipt]{receipt}, nil
	})
}

// jobRoutes are all that one can ask about jobs that exist.
func jobRoutes(r *routes, b Jobs) {
	route(r, huma.Operation{
		OperationID: "list-jobs", Method: http.MethodGet, Path: "/v1/jobs",
		Summary: "The jobs",
	}, func(ctx context.Context, _ *nothing) (*reply[JobList], error) {
		l, err := b.List(ctx)
		if err != nil {
			return nil, err
		}
		return &reply[JobList]{JobList{Jobs: list(l.Jobs), Silent: list(l.Silent)}}, nil
	})
	route(r, huma.Operation{
		OperationID: "describe-job", Method: http.MethodGet, Path: "/v1/jobs/{id}",
		Summary: "One job, with its history",
	}, jobReply(b.Job))
	route(r, huma.Operation{
		OperationID: "cancel-job", Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel",
		Summary: "End a job",
	}, jobReply(b.Cancel))
	events(r, huma.Operation{
		OperationID: "watch-job", Method: http.MethodGet, Path: "/v1/jobs/{id}/watch",
		Summary: "The job as it is now and after each change, until it has ended",
	}, func(ctx context.Context, in *jobPath, send func(job.Job) error) error {
		return b.Watch(ctx, in.ID, send)
	})
	events(r, huma.Operation{
		OperationID: "job-logs", Method: http.MethodGet, Path: "/v1/jobs/{id}/logs",
		Summary: "What the job's program writes, in pieces",
	}, func(ctx context.Context, in *logsQuery, send func(LogChunk) error) error {
		o := LogOptions{Follow: in.Follow, Attempt: in.Attempt, Stdout: in.Stdout, Stderr: in.Stderr}
		return b.Logs(ctx, in.ID, o, send)
	})
}

// jobReply is a handler that asks about one job and answers with it.
func jobReply(ask func(context.Context, string) (job.Job, error)) func(context.Context, *jobPath) (*reply[job.Job], error) {
	return func(ctx context.Context, in *jobPath) (*reply[job.Job], error) {
		j, err := ask(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		return &reply[job.Job]{j}, nil
	}
}
