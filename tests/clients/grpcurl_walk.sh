#!/usr/bin/env bash
# Walks a token's whole life as a person with grpcurl does: server reflection, JSON in, JSON out, the credential in the
# environment and requests on standard input, so that no secret shows in a list of processes.
#
# Takes TOKENKEEP_ADDRESS, TOKENKEEP_TOKEN_FILE (a credential that may do everything) and, for the case that grpcurl is
# not on PATH, GRPCURL_DIR, where it is installed with Go. Prints a line for each promise, `PASSED …` or `FAILED …`.
set -euo pipefail

grpcurl_version=v1.9.3
address=${TOKENKEEP_ADDRESS:-127.0.0.1:50051}
TOKENKEEP_CREDENTIAL=$(cat "$TOKENKEEP_TOKEN_FILE")
export TOKENKEEP_CREDENTIAL
scratch=$(mktemp -d)
failed=0
watcher=

clean_up() {
    if [[ -n $watcher ]]; then kill "$watcher" 2>/dev/null || true; fi
    rm -rf "$scratch"
}
trap clean_up EXIT

find_grpcurl() {
    grpcurl=$(command -v grpcurl || true)
    if [[ -n $grpcurl ]]; then return; fi
    grpcurl=${GRPCURL_DIR:-$(dirname "$0")/.tools}/grpcurl
    if [[ ! -x $grpcurl ]]; then
        mkdir -p "$(dirname "$grpcurl")"
        GOBIN=$(cd "$(dirname "$grpcurl")" && pwd) go install "github.com/fullstorydev/grpcurl/cmd/grpcurl@$grpcurl_version"
    fi
}

# ask METHOD: sends the request on standard input, answers the response; an error is answered as its JSON status.
ask() {
    "$grpcurl" -plaintext -format-error -max-time 10 -expand-headers -H 'authorization: Bearer ${TOKENKEEP_CREDENTIAL}' \
        -d @ "$address" "tokenkeep.v1.$1" 2>&1 || true
}

# field PATH: takes a field out of the JSON on standard input, like `token.id`; empty if it is not there. Whether
# grpcurl writes `token_id` or `tokenId` hangs on what reflection tells it, and both are right.
field() {
    python3 -c '
import json, sys
try:
    value = json.load(sys.stdin)
except ValueError:
    value = {}
for name in sys.argv[1].split("."):
    if isinstance(value, list):
        value = {str(place): entry for place, entry in enumerate(value)}
    named = {key.replace("_", "").lower(): entry for key, entry in (value or {}).items()}
    value = named.get(name.replace("_", "").lower(), "")
print(value if isinstance(value, str) else json.dumps(value))' "$1"
}

# expect PROMISE WANTED FOUND: says whether the promise was kept. What was found is not printed: it may be a secret.
expect() {
    if [[ $2 == "$3" ]]; then
        echo "PASSED grpcurl: $1"
    else
        echo "FAILED grpcurl: $1"
        failed=$((failed + 1))
    fi
}

# reason: takes the ErrorInfo reason out of a JSON status on standard input.
reason() {
    python3 -c '
import json, sys
try:
    details = json.load(sys.stdin).get("details", [])
except ValueError:
    details = []
print(next((detail["reason"] for detail in details if detail.get("domain") == "tokenkeep"), ""))'
}

# frame_of KIND: the watched frame with an event of that kind, waited for; empty if it does not come.
frame_of() {
    python3 -c '
import json, sys, time
deadline = time.monotonic() + 10
while time.monotonic() < deadline:
    text, decoder, at = open(sys.argv[1]).read(), json.JSONDecoder(), 0
    while at < len(text):
        try:
            frame, end = decoder.raw_decode(text[at:].lstrip())
        except ValueError:
            break
        at = len(text) - len(text[at:].lstrip()) + end
        if frame.get("event", frame).get("kind", "progress") == sys.argv[2]:
            print(json.dumps(frame))
            sys.exit()
    time.sleep(0.05)' "$scratch/frames" "$1"
}

introspect() {
    ask TokenService/IntrospectToken <<< "{\"token\": \"$1\", \"workspace\": \"$workspace\"}"
}

watch() {
    "$grpcurl" -plaintext -expand-headers -H 'authorization: Bearer ${TOKENKEEP_CREDENTIAL}' \
        -d "{\"workspace\": \"$workspace\"}" "$address" tokenkeep.v1.TokenService/WatchRevocations > "$scratch/frames" &
    watcher=$!
}

find_grpcurl
workspace=walk-$(python3 -c 'import uuid; print(uuid.uuid4().hex[:12])')

services=$("$grpcurl" -plaintext "$address" list)
expect "reflection lists every service" 4 \
    "$(grep -cxE 'tokenkeep\.v1\.(Token|Workspace)Service|grpc\.health\.v1\.Health|grpc\.reflection\.v1(alpha)?\.ServerReflection' <<< "$(sed 's/v1alpha/v1/' <<< "$services" | sort -u)")"

expect "health serves" SERVING "$("$grpcurl" -plaintext "$address" grpc.health.v1.Health/Check | field status)"

ask WorkspaceService/CreateWorkspace <<< "{\"workspace\": {\"id\": \"$workspace\", \"name\": \"Walk\"}}" > "$scratch/answer"
expect "a workspace is created" "$workspace" "$(field workspace.id < "$scratch/answer")"

watch
expect "a watch begins with its place" '{}' "$(frame_of progress | field progress)"

ask TokenService/CreateToken > "$scratch/created" \
    <<< "{\"workspace\": \"$workspace\", \"name\": \"walker\", \"scopes\": [\"orders:read\"], \"lifetime\": \"3600s\"}"
id=$(field token.id < "$scratch/created")
secret=$(field secret < "$scratch/created")
expect "a token is created active" TOKEN_STATE_ACTIVE "$(field token.state < "$scratch/created")"

expect "a token is read" walker "$(ask TokenService/GetToken <<< "{\"id\": \"$id\"}" | field token.name)"

expect "a token is listed" "$id" \
    "$(ask TokenService/ListTokens <<< "{\"workspace\": \"$workspace\", \"filter\": {\"name_prefix\": \"wal\"}}" | field tokens.0.id)"

expect "a live token is active" true "$(introspect "$secret" | field active)"

expect "a wrong field is refused with its reason" INVALID_FIELD \
    "$(ask TokenService/CreateToken <<< "{\"workspace\": \"$workspace\"}" | reason)"

# grpcurl takes a field mask as the message it is, not in the short form of JSON.
ask TokenService/UpdateToken > "$scratch/answer" \
    <<< "{\"token\": {\"id\": \"$id\", \"description\": \"edited\"}, \"update_mask\": {\"paths\": [\"description\"]}}"
expect "a token is edited" edited "$(field token.description < "$scratch/answer")"
etag=$(field token.etag < "$scratch/answer")

ask TokenService/RegenerateToken <<< "{\"id\": \"$id\", \"etag\": \"$etag\"}" > "$scratch/regenerated"
new_secret=$(field secret < "$scratch/regenerated")
expect "regenerating keeps the id" "$id" "$(field token.id < "$scratch/regenerated")"
expect "the new secret works" true "$(introspect "$new_secret" | field active)"
expect "the old secret is dead" DECISION_DENY_INACTIVE "$(introspect "$secret" | field decision)"

expect "a stale etag is refused with its reason" ETAG_MISMATCH \
    "$(ask TokenService/RegenerateToken <<< "{\"id\": \"$id\", \"etag\": \"$etag\"}" | reason)"

expect "a token is revoked" TOKEN_STATE_REVOKED \
    "$(ask TokenService/RevokeToken <<< "{\"id\": \"$id\", \"reason\": \"the walk ends\"}" | field token.state)"
expect "a revoked token is inactive" DECISION_DENY_INACTIVE "$(introspect "$new_secret" | field decision)"

frame_of REVOCATION_KIND_REVOKED > "$scratch/revoked"
expect "the revoke arrives on the stream" "$id" "$(field event.token_id < "$scratch/revoked")"
expect "the revoke says why" "the walk ends" "$(field event.reason < "$scratch/revoked")"

expect "a caller without a credential is refused" CREDENTIAL_MISSING \
    "$("$grpcurl" -plaintext -format-error -d "{\"id\": \"$id\"}" "$address" tokenkeep.v1.TokenService/GetToken 2>&1 | reason)"

exit $((failed > 0))
