// A client of tokenkeep that tells a verdict from an outage, does nothing twice, and resumes its stream.

import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { setTimeout as sleep } from "node:timers/promises";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const ATTEMPT = 2_000; // Milliseconds for one attempt: longer than any healthy answer takes.
const PATIENCE = 5_000; // Milliseconds for a call with all its attempts.
const SILENCE = 5_000; // Milliseconds. The stream has a frame every half second; where ten are missing, it is dead.
const LIFETIME = 30 * 24 * 60 * 60; // Seconds that a new token lives.

const CHANNEL_OPTIONS = {
  // Without these a channel that lost its server waits up to two minutes before it connects again.
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
};

const { tokenkeep, google } = grpc.loadPackageDefinition(
  protoLoader.loadSync(["tokenkeep/v1/token_service.proto", "details.proto"], {
    includeDirs: [fileURLToPath(new URL("../../proto", import.meta.url)), import.meta.dirname],
    defaults: true,
    enums: String,
    json: true, // Opens the details of errors.
    longs: String,
    oneofs: true,
  }),
);

/** A call without an answer, which is no verdict. */
export class Failure extends Error {
  constructor(code, message, details = []) {
    super(message);
    this.code = code;
    /** What to tell failures apart by, and never by the message; empty where no server answered. */
    this.reason = details.find((detail) => "reason" in detail)?.reason ?? "";
    /** For how many milliseconds the server asks not to be called. */
    this.retryAfter = milliseconds(details.find((detail) => "retryDelay" in detail)?.retryDelay);
  }

  static of(error) {
    const [status] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const details = status ? google.rpc.Status.deserialize(status).details : [];
    return new Failure(error.code ?? grpc.status.UNKNOWN, error.details ?? error.message, details);
  }

  /** Whether another attempt can help. A limit stays reached, unless the server says for how long. */
  get mayPass() {
    if (this.code === grpc.status.RESOURCE_EXHAUSTED) return this.retryAfter !== undefined;
    return this.code === grpc.status.UNAVAILABLE || this.code === grpc.status.DEADLINE_EXCEEDED;
  }

  /** Milliseconds until the next attempt: what the server asks for, and a random time, lest all come back at once. */
  pause(attempt) {
    return (this.retryAfter ?? 0) + Math.random() * 100 * 2 ** Math.min(attempt, 5);
  }

  toString() {
    return [grpc.status[this.code], this.reason, this.message].filter(Boolean).join(" ");
  }
}

/** The tokens of one workspace. The credential is asked for at each call, so that it can be replaced meanwhile. */
export class TokenClient {
  #rpc;
  #credential;
  #workspace;

  /** TLS to an `https` address, verified by the CA if one is given; else plaintext, which is fit for loopback only. */
  constructor({ server, ca, credential, workspace }) {
    const [scheme, address] = server.split("://");
    const transport = scheme === "https" ? grpc.credentials.createSsl(ca) : grpc.credentials.createInsecure();
    this.#rpc = new tokenkeep.v1.TokenService(address, transport, CHANNEL_OPTIONS);
    this.#credential = credential;
    this.#workspace = workspace;
  }

  /** A new token, with the secret that is shown this once. */
  create(name, scopes) {
    const lifetime = { seconds: LIFETIME };
    return this.#call("createToken", { workspace: this.#workspace, name, scopes, lifetime, requestId: randomUUID() });
  }

  /** The verdict on a presented token. */
  introspect(token, requiredScopes) {
    return this.#call("introspectToken", { token, workspace: this.#workspace, requiredScopes });
  }

  /** Ends a token for good. */
  revoke(id, reason) {
    return this.#call("revokeToken", { id, reason, requestId: randomUUID() });
  }

  /** Each frame after `cursor`, once, however often the stream breaks; without a cursor, from now on. */
  async *watch(cursor) {
    for (let attempt = 0; ; attempt++) {
      const stream = this.#rpc.watchRevocations({ workspace: this.#workspace, cursor }, this.#metadata());
      const silent = () => stream.destroy(new Failure(grpc.status.UNAVAILABLE, "the stream fell silent"));
      let alarm = setTimeout(silent, SILENCE);
      let failure = new Failure(grpc.status.UNAVAILABLE, "the stream ended");
      let heard = false;
      try {
        for await (const frame of stream) {
          clearTimeout(alarm); // The time that the caller takes is not the stream's.
          ({ cursor } = frame);
          attempt = 0;
          heard = true;
          yield frame;
          alarm = setTimeout(silent, SILENCE);
        }
      } catch (error) {
        failure = error instanceof Failure ? error : Failure.of(error);
      } finally {
        clearTimeout(alarm);
        stream.cancel();
      }
      // A stream ends with the credential that opened it; there may be another by now.
      const outlived = heard && failure.code === grpc.status.UNAUTHENTICATED;
      if (!failure.mayPass && !outlived) throw failure;
      console.warn(`resuming the stream: ${failure}`);
      await sleep(failure.pause(attempt));
    }
  }

  close() {
    this.#rpc.close();
  }

  /**
   * The answer to a request that can safely be sent again. What changes something carries a request id, the same at each
   * attempt, so that it is done once even if an answer was lost.
   */
  async #call(method, request) {
    const deadline = Date.now() + PATIENCE;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#attempt(method, request, Math.min(Date.now() + ATTEMPT, deadline));
      } catch (error) {
        const failure = Failure.of(error);
        const pause = failure.pause(attempt);
        if (!failure.mayPass || Date.now() + pause > deadline) throw failure;
        await sleep(pause);
      }
    }
  }

  #attempt(method, request, deadline) {
    return new Promise((resolve, reject) => {
      this.#rpc[method](request, this.#metadata(), { deadline }, (error, answer) => (error ? reject(error) : resolve(answer)));
    });
  }

  #metadata() {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${this.#credential()}`);
    return metadata;
  }
}

function milliseconds(duration) {
  return duration && Number(duration.seconds) * 1_000 + duration.nanos / 1e6;
}
