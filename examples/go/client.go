package main

import (
	"context"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	tokenkeepv1 "example.com/tokens/tokenkeep/v1"
)

const (
	attemptTimeout = 2 * time.Second     // For one attempt: longer than any healthy answer takes.
	patience       = 5 * time.Second     // For a call with all its attempts.
	silence        = 5 * time.Second     // The stream has a frame every half second; where ten are missing, it is dead.
	lifetime       = 30 * 24 * time.Hour // Of a new token.
)

var errSilent = status.Error(codes.Unavailable, "the stream fell silent")

// client speaks of the tokens of one workspace. An error of its methods is never a verdict on a token.
type client struct {
	rpc       tokenkeepv1.TokenServiceClient
	workspace string
}

// create issues a token; its secret is shown this once.
func (c *client) create(ctx context.Context, name string, scopes []string) (*tokenkeepv1.CreateTokenResponse, error) {
	return call(ctx, c.rpc.CreateToken, &tokenkeepv1.CreateTokenRequest{
		Workspace:  c.workspace,
		Name:       name,
		Scopes:     scopes,
		Expiration: &tokenkeepv1.CreateTokenRequest_Lifetime{Lifetime: durationpb.New(lifetime)},
		RequestId:  uuid.NewString(),
	})
}

// introspect answers the verdict on a presented token.
func (c *client) introspect(ctx context.Context, presented string, requiredScopes []string) (*tokenkeepv1.IntrospectTokenResponse, error) {
	return call(ctx, c.rpc.IntrospectToken, &tokenkeepv1.IntrospectTokenRequest{
		Token:          presented,
		Workspace:      c.workspace,
		RequiredScopes: requiredScopes,
	})
}

// revoke ends a token for good.
func (c *client) revoke(ctx context.Context, id, reason string) (*tokenkeepv1.RevokeTokenResponse, error) {
	return call(ctx, c.rpc.RevokeToken, &tokenkeepv1.RevokeTokenRequest{Id: id, Reason: reason, RequestId: uuid.NewString()})
}

// watch gives each frame after cursor to handle, once, however often the stream breaks; without a cursor, from now on.
// It returns when handle fails, or when another attempt cannot help.
func (c *client) watch(ctx context.Context, cursor string, handle func(*tokenkeepv1.WatchRevocationsResponse) error) error {
	for attempt := 0; ; attempt++ {
		heard := false
		err := c.stream(ctx, cursor, func(frame *tokenkeepv1.WatchRevocationsResponse) error {
			cursor, attempt, heard = frame.GetCursor(), 0, true
			return handle(frame)
		})
		// A stream ends with the credential that opened it; there may be another by now.
		outlived := heard && status.Code(err) == codes.Unauthenticated
		if !mayPass(err) && !outlived {
			return err
		}
		log.Printf("resuming the stream: %v", err)
		if sleep(ctx, pause(err, attempt)) != nil {
			return err
		}
	}
}

// stream reads one stream to its end, which is never a good one.
func (c *client) stream(ctx context.Context, cursor string, handle func(*tokenkeepv1.WatchRevocationsResponse) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	alarm := time.AfterFunc(silence, func() { cancel(errSilent) })
	defer alarm.Stop()

	stream, err := c.rpc.WatchRevocations(ctx, &tokenkeepv1.WatchRevocationsRequest{Workspace: c.workspace, Cursor: cursor})
	if err != nil {
		return err
	}
	for {
		frame, err := stream.Recv()
		if err != nil {
			if context.Cause(ctx) == errSilent {
				return errSilent
			}
			return err
		}
		alarm.Stop() // The time that handle takes is not the stream's.
		if err := handle(frame); err != nil {
			return err
		}
		alarm.Reset(silence)
	}
}

// call sends a request until it is answered, patience runs out, or another attempt cannot help. A request that changes
// something carries a request id, the same at each attempt, so that it is carried out once even if an answer was lost.
func call[Request, Response any](ctx context.Context, method func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for attempt := 0; ; attempt++ {
		response, err := once(ctx, method, request)
		if !mayPass(err) || sleep(ctx, pause(err, attempt)) != nil {
			return response, err
		}
	}
}

func once[Request, Response any](ctx context.Context, method func(context.Context, Request, ...grpc.CallOption) (Response, error), request Request) (Response, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return method(ctx, request)
}

// mayPass tells whether another attempt can help. A limit stays reached, unless the server says for how long.
func mayPass(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded:
		return true
	case codes.ResourceExhausted:
		return detail[*errdetails.RetryInfo](err) != nil
	default:
		return false
	}
}

// pause is what the server asks for, and a random time, lest all come back at once.
func pause(err error, attempt int) time.Duration {
	asked := detail[*errdetails.RetryInfo](err).GetRetryDelay().AsDuration()
	return asked + rand.N(100*time.Millisecond<<min(attempt, 5))
}

// reason is what to tell errors apart by; empty where no server answered.
func reason(err error) string {
	return detail[*errdetails.ErrorInfo](err).GetReason()
}

// detail finds the detail of a type in an error, or nil.
func detail[Detail any](err error) (none Detail) {
	for _, each := range status.Convert(err).Details() {
		if found, ok := each.(Detail); ok {
			return found
		}
	}
	return none
}

// sleep fails at once if there is not enough time left.
func sleep(ctx context.Context, duration time.Duration) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < duration {
		return context.DeadlineExceeded
	}
	select {
	case <-time.After(duration):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// credential is our own token, read anew for each call, so that it can be replaced meanwhile. It is never an argument:
// everybody on the machine can read those.
type credential struct{ overTLS bool }

func (c credential) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token := os.Getenv("TOKENKEEP_CREDENTIAL")
	if path := os.Getenv("TOKENKEEP_CREDENTIAL_FILE"); path != "" {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, status.Error(codes.Unauthenticated, err.Error())
		}
		token = string(content)
	}
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(token)}, nil
}

func (c credential) RequireTransportSecurity() bool { return c.overTLS }

// connect uses TLS to an https address, verified by the CA if one is named; else plaintext, which is fit for loopback only.
func connect(server, caFile string) (*grpc.ClientConn, error) {
	scheme, address, _ := strings.Cut(server, "://")
	transport := insecure.NewCredentials()
	switch {
	case scheme == "https" && caFile == "":
		transport = credentials.NewTLS(nil)
	case scheme == "https":
		var err error
		if transport, err = credentials.NewClientTLSFromFile(caFile, ""); err != nil {
			return nil, err
		}
	}
	// By default a channel that lost its server waits up to two minutes before it connects again.
	soon := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(credential{overTLS: scheme == "https"}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: soon, MinConnectTimeout: attemptTimeout}))
}
