package com.example.tokens;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.ThreadLocalRandom;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A call without an answer, which is no verdict. */
final class Failure extends Exception {
    private static final long serialVersionUID = 1L;

    private final Status.Code code;
    private final String reason;
    private final Duration retryAfter; // Null if the server does not say.

    Failure(StatusException error) {
        super(error.getStatus().getDescription(), error);
        code = error.getStatus().getCode();
        reason = detail(error, ErrorInfo.class).map(ErrorInfo::getReason).orElse("");
        retryAfter = detail(error, RetryInfo.class)
                .map(RetryInfo::getRetryDelay)
                .map(delay -> Duration.ofSeconds(delay.getSeconds(), delay.getNanos()))
                .orElse(null);
    }

    Failure(Status.Code code, String message) {
        super(message);
        this.code = code;
        reason = "";
        retryAfter = null;
    }

    Status.Code code() {
        return code;
    }

    /** What to tell failures apart by, and never by the message; empty where no server answered. */
    String reason() {
        return reason;
    }

    /** Whether another attempt can help. A limit stays reached, unless the server says for how long. */
    boolean mayPass() {
        return switch (code) {
            case UNAVAILABLE, DEADLINE_EXCEEDED -> true;
            case RESOURCE_EXHAUSTED -> retryAfter != null;
            default -> false;
        };
    }

    /** How long to wait: what the server asks for, and a random time, lest all come back at once. */
    Duration pause(int attempt) {
        long most = 100L << Math.min(attempt, 5);
        Duration asked = retryAfter == null ? Duration.ZERO : retryAfter;
        return asked.plusMillis(ThreadLocalRandom.current().nextLong(most));
    }

    @Override
    public String toString() {
        return Stream.of(code.name(), reason, getMessage())
                .filter(part -> part != null && !part.isEmpty())
                .collect(Collectors.joining(" "));
    }

    private static <M extends Message> Optional<M> detail(StatusException error, Class<M> type) {
        try {
            for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
                if (detail.is(type)) {
                    return Optional.of(detail.unpack(type));
                }
            }
            return Optional.empty();
        } catch (InvalidProtocolBufferException | IllegalArgumentException garbled) {
            return Optional.empty();
        }
    }
}
