#!/bin/sh
# Lint openapi/openapi.json with Redocly's linter. Needs Node and npm, which fetches the linter, one
# package without dependencies, at the version that stands here.
set -eu
cd "$(dirname "$0")/.."
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
exec npx --yes @redocly/cli@2.77.0 lint --config openapi/redocly.yaml openapi/openapi.json
