package com.example.tokens;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.NANOSECONDS;

import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.stub.MetadataUtils;
import java.time.Duration;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;
import java.util.function.Supplier;
import tokenkeep.v1.TokenServiceGrpc;
import tokenkeep.v1.TokenServiceGrpc.TokenServiceBlockingV2Stub;
import tokenkeep.v1.TokenServiceOuterClass.CreateTokenRequest;
import tokenkeep.v1.TokenServiceOuterClass.CreateTokenResponse;
import tokenkeep.v1.TokenServiceOuterClass.IntrospectTokenRequest;
import tokenkeep.v1.TokenServiceOuterClass.IntrospectTokenResponse;
import tokenkeep.v1.TokenServiceOuterClass.RevokeTokenRequest;
import tokenkeep.v1.TokenServiceOuterClass.RevokeTokenResponse;
import tokenkeep.v1.TokenServiceOuterClass.WatchRevocationsRequest;
import tokenkeep.v1.TokenServiceOuterClass.WatchRevocationsResponse;

/**
 * The tokens of one workspace. Tells a verdict from an outage, does nothing twice, and resumes its stream.
 */
final class TokenClient {
    /** For one attempt: longer than any healthy answer takes. */
    private static final Duration ATTEMPT = Duration.ofSeconds(2);

    /** For a call with all its attempts. */
    private static final Duration PATIENCE = Duration.ofSeconds(5);

    /** The stream has a frame every half second; where ten are missing, it is dead. */
    private static final long SILENCE = 5_000; // Milliseconds.

    /** Of a new token, in seconds. */
    private static final long LIFETIME = 30 * 24 * 60 * 60;

    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final System.Logger LOGGER = System.getLogger(TokenClient.class.getName());

    private final ManagedChannel channel;
    private final Supplier<String> credential;
    private final String workspace;

    /** The credential is asked for at each call, so that it can be replaced meanwhile. */
    TokenClient(ManagedChannel channel, Supplier<String> credential, String workspace) {
        this.channel = channel;
        this.credential = credential;
        this.workspace = workspace;
    }

    /** A new token, with the secret that is shown this once. */
    CreateTokenResponse create(String name, List<String> scopes) throws Failure, InterruptedException {
        CreateTokenRequest request = CreateTokenRequest.newBuilder()
                .setWorkspace(workspace)
                .setName(name)
                .addAllScopes(scopes)
                .setLifetime(com.google.protobuf.Duration.newBuilder().setSeconds(LIFETIME))
                .setRequestId(UUID.randomUUID().toString())
                .build();
        return call(rpc -> rpc.createToken(request));
    }

    /** The verdict on a presented token. */
    IntrospectTokenResponse introspect(String presented, List<String> requiredScopes)
            throws Failure, InterruptedException {
        IntrospectTokenRequest request = IntrospectTokenRequest.newBuilder()
                .setToken(presented)
                .setWorkspace(workspace)
                .addAllRequiredScopes(requiredScopes)
                .build();
        return call(rpc -> rpc.introspectToken(request));
    }

    /** Ends a token for good. */
    RevokeTokenResponse revoke(String id, String reason) throws Failure, InterruptedException {
        RevokeTokenRequest request = RevokeTokenRequest.newBuilder()
                .setId(id)
                .setReason(reason)
                .setRequestId(UUID.randomUUID().toString())
                .build();
        return call(rpc -> rpc.revokeToken(request));
    }

    /** Gives each frame after the cursor, once, however often the stream breaks; with an empty one, from now on. */
    void watch(String start, Consumer<WatchRevocationsResponse> handler) throws Failure, InterruptedException {
        String cursor = start;
        for (int attempt = 0; ; attempt++) {
            Failure failure;
            boolean heard = false;
            var stream = rpc().watchRevocations(WatchRevocationsRequest.newBuilder()
                    .setWorkspace(workspace)
                    .setCursor(cursor)
                    .build());
            try {
                WatchRevocationsResponse frame;
                while ((frame = stream.read(SILENCE, MILLISECONDS)) != null) {
                    cursor = frame.getCursor();
                    attempt = 0;
                    heard = true;
                    handler.accept(frame);
                }
                failure = new Failure(Status.Code.UNAVAILABLE, "the stream ended");
            } catch (TimeoutException silent) {
                failure = new Failure(Status.Code.UNAVAILABLE, "the stream fell silent");
            } catch (StatusException error) {
                failure = new Failure(error);
            } finally {
                stream.cancel("no longer read", null);
            }
            // A stream ends with the credential that opened it; there may be another by now.
            boolean outlived = heard && failure.code() == Status.Code.UNAUTHENTICATED;
            if (!failure.mayPass() && !outlived) {
                throw failure;
            }
            LOGGER.log(System.Logger.Level.WARNING, "resuming the stream: {0}", failure.toString());
            waitFor(failure.pause(attempt));
        }
    }

    private interface Method<T> {
        T call(TokenServiceBlockingV2Stub rpc) throws StatusException;
    }

    /**
     * The answer to a request that can safely be sent again. What changes something carries a request id, the same at
     * each attempt, so that it is done once even if an answer was lost.
     */
    private <T> T call(Method<T> method) throws Failure, InterruptedException {
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        for (int attempt = 0; ; attempt++) {
            Failure failure;
            try {
                long within = Math.min(ATTEMPT.toNanos(), deadline - System.nanoTime());
                return method.call(rpc().withDeadlineAfter(within, NANOSECONDS));
            } catch (StatusException error) {
                failure = new Failure(error);
            }
            Duration pause = failure.pause(attempt);
            if (!failure.mayPass() || System.nanoTime() + pause.toNanos() - deadline > 0) {
                throw failure;
            }
            waitFor(pause);
        }
    }

    private void waitFor(Duration pause) throws InterruptedException {
        Thread.sleep(pause.toMillis());
        // By itself a channel that lost its server waits up to two minutes before it connects again.
        channel.resetConnectBackoff();
    }

    private TokenServiceBlockingV2Stub rpc() {
        Metadata headers = new Metadata();
        headers.put(AUTHORIZATION, "Bearer " + credential.get());
        return TokenServiceGrpc.newBlockingV2Stub(channel)
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
    }
}
