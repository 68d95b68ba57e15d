// Command tokens creates, judges, revokes and watches API tokens that tokenkeep keeps.
package main

//go:generate buf generate

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"slices"
	"strings"

	"google.golang.org/grpc/status"

	tokenkeepv1 "example.com/tokens/tokenkeep/v1"
)

const usage = `usage: tokens create NAME [SCOPE…]    prints a new token's id and secret
       tokens introspect [SCOPE…]     judges the token on standard input
       tokens revoke ID REASON        ends a token for good
       tokens watch CURSOR_FILE       prints revocations, and goes on where it was`

// Exit codes, the same for every language. Elsewhere a program that crashes ends with 1, which must be no verdict.
const (
	allowed    = 0
	noAnswer   = 1
	badUsage   = 2
	notAllowed = 3
)

// The history that a cursor belongs to is gone: whatever was derived from the stream has to be verified anew.
var historyLost = []string{"REVISION_COMPACTED", "CURSOR_FOREIGN", "CURSOR_AHEAD"}

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, arguments []string) int {
	connection, err := connect(cmp.Or(os.Getenv("TOKENKEEP_SERVER"), "http://127.0.0.1:50051"), os.Getenv("TOKENKEEP_SERVER_CA"))
	if err != nil {
		log.Print(err)
		return badUsage
	}
	defer connection.Close()
	c := &client{
		rpc:       tokenkeepv1.NewTokenServiceClient(connection),
		workspace: cmp.Or(os.Getenv("TOKENKEEP_WORKSPACE"), "acme"),
	}

	switch {
	case len(arguments) >= 2 && arguments[0] == "create":
		err = create(ctx, c, arguments[1], arguments[2:])
	case len(arguments) >= 1 && arguments[0] == "introspect":
		return introspect(ctx, c, arguments[1:])
	case len(arguments) == 3 && arguments[0] == "revoke":
		err = revoke(ctx, c, arguments[1], arguments[2])
	case len(arguments) == 2 && arguments[0] == "watch":
		err = watch(ctx, c, arguments[1])
	default:
		fmt.Fprintln(os.Stderr, usage)
		return badUsage
	}
	if err != nil && ctx.Err() == nil {
		log.Print("failed: ", explained(err))
		return noAnswer
	}
	return 0
}

func create(ctx context.Context, c *client, name string, scopes []string) error {
	created, err := c.create(ctx, name, scopes)
	if err != nil {
		return err
	}
	fmt.Println(created.GetToken().GetId(), created.GetSecret())
	return nil
}

// introspect prints what the token on standard input is worth, and answers the exit code.
func introspect(ctx context.Context, c *client, requiredScopes []string) int {
	presented, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	verdict, err := c.introspect(ctx, strings.TrimSpace(presented), requiredScopes)
	switch {
	case err != nil:
		// Nobody is let in, and nobody is told that their token is invalid.
		log.Print("cannot decide: ", explained(err))
		return noAnswer
	case !verdict.GetActive():
		fmt.Println("inactive", strings.TrimPrefix(verdict.GetInactiveReason().String(), "INACTIVE_REASON_"))
		return notAllowed
	case verdict.GetDecision() != tokenkeepv1.Decision_DECISION_ALLOW:
		fmt.Println("lacks", strings.Join(verdict.GetMissingScopes(), " "))
		return notAllowed
	default:
		fmt.Println("active", verdict.GetJti(), verdict.GetScope())
		return allowed
	}
}

func revoke(ctx context.Context, c *client, id, reason string) error {
	revoked, err := c.revoke(ctx, id, reason)
	if err != nil {
		return err
	}
	fmt.Println("revoked", revoked.GetToken().GetId())
	return nil
}

// watch prints each revocation, then keeps its cursor. Killed between the two, it prints the revision again; whoever
// must not have that keeps the cursor in one transaction with what is done about the revocation.
func watch(ctx context.Context, c *client, cursorFile string) error {
	cursor, err := os.ReadFile(cursorFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for {
		err := c.watch(ctx, string(cursor), func(frame *tokenkeepv1.WatchRevocationsResponse) error {
			if event := frame.GetEvent(); event != nil {
				fmt.Println(frame.GetRevision(), described(event))
			}
			return keep(cursorFile, frame.GetCursor())
		})
		if !slices.Contains(historyLost, reason(err)) {
			return err
		}
		fmt.Println("lost", explained(err))
		cursor = nil
	}
}

func described(event *tokenkeepv1.RevocationEvent) string {
	kind := strings.TrimPrefix(event.GetKind().String(), "REVOCATION_KIND_")
	concerned := cmp.Or(event.GetTokenId(), strings.Join(event.GetTokenIds(), ","), event.GetPrincipal(), event.GetWorkspace(), "*")
	return strings.TrimSpace(kind + " " + concerned + " " + event.GetReason())
}

// keep replaces the file in one step: a crash leaves the old cursor or the new one.
func keep(file, cursor string) error {
	if err := os.WriteFile(file+".new", []byte(cursor), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func explained(err error) string {
	told := status.Convert(err)
	return strings.Join(strings.Fields(fmt.Sprintf("%v %s %s", told.Code(), reason(err), told.Message())), " ")
}
