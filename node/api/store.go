package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/shoal-mesh/shoal/node/api/sign"
)

// upload is a request whose body the handler reads as it comes.
type upload struct {
	Name string `query:"name" maxLength:"255" doc:"The name of the pin; by default that of what is at the top of the archive."`
	body io.Reader
	w    http.ResponseWriter
}

// Resolve keeps the body for the handler, which has all the time in the world.
func (u *upload) Resolve(ctx huma.Context) []error {
	req, w := humago.Unwrap(ctx)
	bodyDeadline(w, 0)
	u.body, u.w = req.Body, w
	return nil
}

type ipfsPath struct {
	Path   string `path:"path" doc:"A CID, and after it the path of a file or folder inside."`
	Format string `query:"format" enum:"tar,raw" default:"tar" doc:"tar: a tar archive of the file or folder. raw: the bytes of the file."`
}

type lsPath struct {
	Path string `path:"path" doc:"A CID, and after it the path of a file or folder inside."`
}

type pinPath struct {
	Pin string `path:"pin" maxLength:"255" doc:"A CID, or a name that no other pin has."`
}

type pinQuery struct {
	What string `query:"what" maxLength:"255" doc:"A CID, or a name: only the pins that have it."`
}

// binary describes a body of bytes.
func binary(contentType string) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}
}

func storeRoutes(r *routes, b Store) {
	addRoute(r, b)
	ipfsRoute(r, b)
	lsRoute(r, b)
	pinRoutes(r, b)
	gcRoute(r, b)
}

func addRoute(r *routes, b Store) {
	stream(r, huma.Operation{
		OperationID: "add", Method: http.MethodPost, Path: "/v1/add",
		Summary: "Add a file or folder to the store and pin it", DefaultStatus: http.StatusCreated,
		Description: "The body is a tar archive with one file or folder at its top, of any size.",
		RequestBody: &huma.RequestBody{Required: true, Content: binary(typeTar)},
	}, func(ctx context.Context, in *upload) (*reply[Added], error) {
		added, err := b.Add(ctx, in.body, in.Name)
		if err != nil {
			bodyDeadline(in.w, r.body) // nobody wants the rest
			if errors.Is(err, sign.ErrBody) {
				err = Errorf(CodeUnauthorized, "%w", err)
			}
			return nil, err
		}
		return &reply[Added]{added}, nil
	})
}

func ipfsRoute(r *routes, b Store) {
	content := binary(typeTar)
	content[typeOctets] = binary(typeOctets)[typeOctets]
	stream(r, huma.Operation{
		OperationID: "get-ipfs", Method: http.MethodGet, Path: "/v1/ipfs/{path...}",
		Summary: "A file or folder from the swarm's IPFS",
		Description: "If it cannot be sent whole, the connection breaks before the end of the body; " +
			"or, for a caller that sends \"TE: trailers\", the trailer " + trailerProblem + " has a problem. " +
			"The header " + headerSize + " says how many bytes of content there are.",
		Responses: map[string]*huma.Response{"200": {Description: "The data.", Content: content}},
	}, func(_ context.Context, in *ipfsPath) (*huma.StreamResponse, error) {
		send, contentType := b.Tar, typeTar
		if in.Format == "raw" {
			send, contentType = b.Cat, typeOctets
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			req, w := humago.Unwrap(hc)
			var once sync.Once
			ctx := WithProgress(req.Context(), func(p Progress) {
				once.Do(func() { w.Header().Set(headerSize, strconv.FormatInt(p.Total, 10)) })
			})
			r.download(w, req, contentType, func(w io.Writer) error { return send(ctx, in.Path, w) })
		}}, nil
	})
}

func lsRoute(r *routes, b Store) {
	stream(r, huma.Operation{
		OperationID: "ls", Method: http.MethodGet, Path: "/v1/ls/{path...}",
		Summary:     "What is in a folder",
		Description: "In the order of names; a file is listed alone. Only blocks of the folder itself are fetched.",
		Responses:   listOf[Entry](r),
	}, func(_ context.Context, in *lsPath) (*huma.StreamResponse, error) {
		return sendList(r, func(ctx context.Context, see func(Entry) error) error { return b.Ls(ctx, in.Path, see) }), nil
	})
}

func pinRoutes(r *routes, b Store) {
	stream(r, huma.Operation{
		OperationID: "list-pins", Method: http.MethodGet, Path: "/v1/pins",
		Summary: "What the store keeps", Description: "In no order.",
		Responses: listOf[Pin](r),
	}, func(_ context.Context, in *pinQuery) (*huma.StreamResponse, error) {
		return sendList(r, func(ctx context.Context, see func(Pin) error) error { return b.Pins(ctx, in.What, see) }), nil
	})
	pinRoute(r, b)
	route(r, huma.Operation{
		OperationID: "unpin", Method: http.MethodDelete, Path: "/v1/pins/{pin}",
		Summary: "Keep a CID no longer",
	}, func(ctx context.Context, in *pinPath) (*reply[Pin], error) {
		pin, err := b.Unpin(ctx, in.Pin)
		if err != nil {
			return nil, err
		}
		return &reply[Pin]{pin}, nil
	})
}

func gcRoute(r *routes, b Store) {
	type request struct{ Body CollectRequest }
	route(r, huma.Operation{
		OperationID: "collect", Method: http.MethodPost, Path: "/v1/gc",
		Summary: "Remove what nothing keeps",
	}, func(ctx context.Context, in *request) (*reply[Collected], error) {
		got, err := b.Collect(ctx, in.Body.DryRun)
		if err != nil {
			return nil, err
		}
		return &reply[Collected]{got}, nil
	})
}

func statusRoute(r *routes, b Backend) {
	route(r, huma.Operation{
		OperationID: "status", Method: http.MethodGet, Path: "/v1/status",
		Summary: "What the node is about now",
	}, func(ctx context.Context, _ *nothing) (*reply[NodeStatus], error) {
		s, err := b.Status(ctx)
		if err != nil {
			return nil, err
		}
		s.Addrs = list(s.Addrs)
		return &reply[NodeStatus]{s}, nil
	})
}
