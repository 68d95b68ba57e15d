#!/usr/bin/env node
// Creates, judges, revokes and watches API tokens, from a shell.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { Failure, TokenClient } from "./client.js";

const USAGE = `usage: tokens.js create NAME [SCOPE…]    prints a new token's id and secret
       tokens.js introspect [SCOPE…]     judges the token on standard input
       tokens.js revoke ID REASON        ends a token for good
       tokens.js watch CURSOR_FILE       prints revocations, and goes on where it was`;

// Exit codes. A program that crashes ends with 1, which must be no verdict.
const ALLOWED = 0;
const NO_ANSWER = 1;
const BAD_USAGE = 2;
const NOT_ALLOWED = 3;

// The history that a cursor belongs to is gone: whatever was derived from the stream has to be verified anew.
const HISTORY_LOST = new Set(["REVISION_COMPACTED", "CURSOR_FOREIGN", "CURSOR_AHEAD"]);

async function create(client, name, scopes) {
  const { token, secret } = await client.create(name, scopes);
  console.log(token.id, secret);
  return 0;
}

async function introspect(client, presented, requiredScopes) {
  let verdict;
  try {
    verdict = await client.introspect(presented, requiredScopes);
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    // Nobody is let in, and nobody is told that their token is invalid.
    console.error(`cannot decide: ${failure}`);
    return NO_ANSWER;
  }
  if (!verdict.active) {
    console.log("inactive", verdict.inactiveReason.replace("INACTIVE_REASON_", ""));
    return NOT_ALLOWED;
  }
  if (verdict.decision !== "DECISION_ALLOW") {
    console.log("lacks", ...verdict.missingScopes);
    return NOT_ALLOWED;
  }
  console.log("active", verdict.jti, verdict.scope);
  return ALLOWED;
}

async function revoke(client, id, reason) {
  const { token } = await client.revoke(id, reason);
  console.log("revoked", token.id);
  return 0;
}

/**
 * Prints each revocation, then keeps its cursor. Killed between the two, it prints the revision again; whoever must not
 * have that keeps the cursor in one transaction with what is done about the revocation.
 */
async function watch(client, cursorFile) {
  let cursor = existsSync(cursorFile) ? readFileSync(cursorFile, "utf8") : "";
  for (;;) {
    try {
      for await (const frame of client.watch(cursor)) {
        if (frame.event) console.log(frame.revision, described(frame.event));
        keep(cursorFile, frame.cursor);
      }
    } catch (failure) {
      if (!HISTORY_LOST.has(failure.reason)) throw failure;
      console.log(`lost ${failure}`);
      cursor = "";
    }
  }
}

function described({ kind, tokenId, tokenIds, principal, workspace, reason }) {
  const concerned = tokenId || tokenIds.join() || principal || workspace || "*";
  return `${String(kind).replace("REVOCATION_KIND_", "")} ${concerned} ${reason}`.trimEnd();
}

/** Replaces the file in one step: a crash leaves the old cursor or the new one. */
function keep(cursorFile, cursor) {
  writeFileSync(`${cursorFile}.new`, cursor);
  renameSync(`${cursorFile}.new`, cursorFile);
}

/** Our own token. It is never an argument: everybody on the machine can read those. */
function credential() {
  const { TOKENKEEP_CREDENTIAL_FILE, TOKENKEEP_CREDENTIAL = "" } = process.env;
  return (TOKENKEEP_CREDENTIAL_FILE ? readFileSync(TOKENKEEP_CREDENTIAL_FILE, "utf8") : TOKENKEEP_CREDENTIAL).trim();
}

async function lineOfInput() {
  for await (const line of createInterface({ input: process.stdin })) return line.trim();
  return "";
}

async function run([command, ...rest]) {
  const { TOKENKEEP_SERVER, TOKENKEEP_SERVER_CA, TOKENKEEP_WORKSPACE } = process.env;
  const client = new TokenClient({
    server: TOKENKEEP_SERVER ?? "http://127.0.0.1:50051",
    ca: TOKENKEEP_SERVER_CA ? readFileSync(TOKENKEEP_SERVER_CA) : null,
    credential,
    workspace: TOKENKEEP_WORKSPACE ?? "acme",
  });
  try {
    if (command === "create" && rest.length >= 1) return await create(client, rest[0], rest.slice(1));
    if (command === "introspect") return await introspect(client, await lineOfInput(), rest);
    if (command === "revoke" && rest.length === 2) return await revoke(client, ...rest);
    if (command === "watch" && rest.length === 1) return await watch(client, ...rest);
    console.error(USAGE);
    return BAD_USAGE;
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    console.error(`failed: ${failure}`);
    return NO_ANSWER;
  } finally {
    client.close();
  }
}

process.exitCode = await run(process.argv.slice(2));
