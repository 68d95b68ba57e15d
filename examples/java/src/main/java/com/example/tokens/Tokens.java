package com.example.tokens;

import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.TlsChannelCredentials;
import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import tokenkeep.v1.Revocation.RevocationEvent;
import tokenkeep.v1.TokenServiceOuterClass.Decision;
import tokenkeep.v1.TokenServiceOuterClass.IntrospectTokenResponse;

/** Creates, judges, revokes and watches API tokens, from a shell. */
final class Tokens {
    private static final String USAGE =
            """
            usage: tokens create NAME [SCOPE…]    prints a new token's id and secret
                   tokens introspect [SCOPE…]     judges the token on standard input
                   tokens revoke ID REASON        ends a token for good
                   tokens watch CURSOR_FILE       prints revocations, and goes on where it was""";

    // Exit codes. A program that crashes ends with 1, which must be no verdict.
    private static final int ALLOWED = 0;
    private static final int NO_ANSWER = 1;
    private static final int BAD_USAGE = 2;
    private static final int NOT_ALLOWED = 3;

    /** The history that a cursor belongs to is gone: whatever was derived from the stream has to be verified anew. */
    private static final Set<String> HISTORY_LOST = Set.of("REVISION_COMPACTED", "CURSOR_FOREIGN", "CURSOR_AHEAD");

    private final TokenClient client;

    private Tokens(TokenClient client) {
        this.client = client;
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        ManagedChannel channel = openChannel();
        try {
            String workspace = setting("TOKENKEEP_WORKSPACE").orElse("acme");
            var tokens = new Tokens(new TokenClient(channel, Tokens::credential, workspace));
            System.exit(tokens.run(List.of(arguments)));
        } catch (Failure failure) {
            System.err.println("failed: " + failure);
            System.exit(NO_ANSWER);
        } finally {
            channel.shutdownNow();
        }
    }

    private int run(List<String> arguments) throws Failure, IOException, InterruptedException {
        String command = arguments.isEmpty() ? "" : arguments.get(0);
        List<String> rest = arguments.stream().skip(1).toList();
        if (command.equals("create") && !rest.isEmpty()) {
            var created = client.create(rest.get(0), rest.subList(1, rest.size()));
            System.out.println(created.getToken().getId() + " " + created.getSecret());
        } else if (command.equals("introspect")) {
            String presented = new BufferedReader(new InputStreamReader(System.in)).readLine();
            return introspect(presented == null ? "" : presented.strip(), rest);
        } else if (command.equals("revoke") && rest.size() == 2) {
            System.out.println("revoked " + client.revoke(rest.get(0), rest.get(1)).getToken().getId());
        } else if (command.equals("watch") && rest.size() == 1) {
            watch(Path.of(rest.get(0)));
        } else {
            System.err.println(USAGE);
            return BAD_USAGE;
        }
        return 0;
    }

    /** Prints what a presented token is worth, and answers the exit code. */
    private int introspect(String presented, List<String> requiredScopes) throws InterruptedException {
        IntrospectTokenResponse verdict;
        try {
            verdict = client.introspect(presented, requiredScopes);
        } catch (Failure failure) {
            // Nobody is let in, and nobody is told that their token is invalid.
            System.err.println("cannot decide: " + failure);
            return NO_ANSWER;
        }
        if (!verdict.getActive()) {
            System.out.println("inactive " + verdict.getInactiveReason().name().replace("INACTIVE_REASON_", ""));
            return NOT_ALLOWED;
        }
        if (verdict.getDecision() != Decision.DECISION_ALLOW) {
            System.out.println("lacks " + String.join(" ", verdict.getMissingScopesList()));
            return NOT_ALLOWED;
        }
        System.out.println("active " + verdict.getJti() + " " + verdict.getScope());
        return ALLOWED;
    }

    /**
     * Prints each revocation, then keeps its cursor. Killed between the two, it prints the revision again; whoever must
     * not have that keeps the cursor in one transaction with what is done about the revocation.
     */
    private void watch(Path cursorFile) throws Failure, IOException, InterruptedException {
        String cursor = Files.exists(cursorFile) ? Files.readString(cursorFile) : "";
        while (true) {
            try {
                client.watch(cursor, frame -> {
                    if (frame.hasEvent()) {
                        System.out.println(frame.getRevision() + " " + described(frame.getEvent()));
                    }
                    keep(cursorFile, frame.getCursor());
                });
            } catch (Failure failure) {
                if (!HISTORY_LOST.contains(failure.reason())) {
                    throw failure;
                }
                System.out.println("lost " + failure);
                cursor = "";
            }
        }
    }

    private static String described(RevocationEvent event) {
        String concerned = Stream.of(
                        event.getTokenId(),
                        String.join(",", event.getTokenIdsList()),
                        event.getPrincipal(),
                        event.getWorkspace())
                .filter(named -> !named.isEmpty())
                .findFirst()
                .orElse("*");
        String kind = event.getKind().name().replace("REVOCATION_KIND_", "");
        return (kind + " " + concerned + " " + event.getReason()).strip();
    }

    /** Replaces the file in one step: a crash leaves the old cursor or the new one. */
    private static void keep(Path cursorFile, String cursor) {
        Path beside = cursorFile.resolveSibling(cursorFile.getFileName() + ".new");
        try {
            Files.writeString(beside, cursor);
            Files.move(beside, cursorFile, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Our own token. It is never an argument: everybody on the machine can read those. */
    private static String credential() {
        Optional<String> file = setting("TOKENKEEP_CREDENTIAL_FILE");
        try {
            String token = file.isPresent()
                    ? Files.readString(Path.of(file.get()))
                    : setting("TOKENKEEP_CREDENTIAL").orElse("");
            return token.strip();
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** TLS to an https address, verified by the CA if one is set; else plaintext, which is fit for loopback only. */
    private static ManagedChannel openChannel() throws IOException {
        URI server = URI.create(setting("TOKENKEEP_SERVER").orElse("http://127.0.0.1:50051"));
        ChannelCredentials transport = InsecureChannelCredentials.create();
        if ("https".equals(server.getScheme())) {
            var tls = TlsChannelCredentials.newBuilder();
            Optional<String> ca = setting("TOKENKEEP_SERVER_CA");
            if (ca.isPresent()) {
                tls.trustManager(new File(ca.get()));
            }
            transport = tls.build();
        }
        return Grpc.newChannelBuilder(server.getAuthority(), transport).build();
    }

    private static Optional<String> setting(String name) {
        return Optional.ofNullable(System.getenv(name)).filter(value -> !value.isBlank());
    }
}
