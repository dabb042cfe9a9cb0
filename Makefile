# The commands of this repository. `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Where `make run` serves.
HTTP_PORT ?= 8080
UDP_PORT ?= 5000
# More arguments for the server, for example ARGS="--host 0.0.0.0 --announce 203.0.113.7".
ARGS ?=
# Arguments for the comparison with other servers: enfilade-bench peers --help.
PEERS ?=
# Arguments for the comparison of mixing: enfilade-bench mix-peers --help.
MIX ?=
# Arguments for the room of fifty: enfilade-bench meeting --help.
MEETING ?=
# Seconds for each fuzz target.
FUZZ_SECONDS ?= 5

EXAMPLE := Examples/enfilade-meet
SERVER := $(EXAMPLE)/.build/release/enfilade-meet

# Every Swift file of the repository, without what builds left behind.
SWIFT_FILES = git ls-files --cached --others --exclude-standard -z '*.swift' | xargs -0 -I{} sh -c 'test -f "{}" && printf "%s\0" "{}"'

BENCH := .build/release/enfilade-bench
PROFILES := AEAD_AES_128_GCM AES_CM_128_HMAC_SHA1_80

# The steps of `make test`, the quickest to fail first.
STEPS := lint address documentation thread fuzz portable release steady example browser

.PHONY: help run test docs bench bench-peers bench-mix bench-meeting $(STEPS) packages test-packages bench-packages server clients format clean

help: ## Lists the commands.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: packages server ## Builds in release and serves the meeting page on http://localhost:8080.
	@exec $(SERVER) --http-port $(HTTP_PORT) --udp-port $(UDP_PORT) $(ARGS)

test: export ENFILADE_STRICT := 1
# The backtracer hangs on a process under a sanitizer; the sanitizer's own report is what is wanted.
test address thread fuzz: export SWIFT_BACKTRACE := enable=no
test: test-packages ## Runs everything that must hold: every step below, with a summary of the seconds.
	@rm -f build/failed.txt; summary=(); \
	for step in $(STEPS); do \
	  printf '\n=== %s\n' "$$step"; \
	  started=$$SECONDS; \
	  if $(MAKE) "$$step"; then result=passed; else result=FAILED; fi; \
	  summary+=("$$(printf '%-10s %-6s %5d s' "$$step" "$$result" $$(( SECONDS - started )))"); \
	  [[ $$result == passed ]] || break; \
	done; \
	printf '\n=== summary\n'; printf '%s\n' "$${summary[@]}"; printf '%-17s %5d s\n' all "$$SECONDS"; \
	if [[ $$result != passed && -s build/failed.txt ]]; then printf '\n=== what failed\n'; cat build/failed.txt; fi; \
	[[ $$result == passed ]]

# As it is shipped, but for its assertions: the optimizer is where memory is saved, and where it is lost.
address: export ENFILADE_OPTIMIZED := all
address: export LSAN_OPTIONS := suppressions=$(CURDIR)/Tests/leaks.supp:print_suppressions=0
# What talks over real sockets runs by itself, one test after another: its waits are bounded, and must not be spent on waiting for a processor.
address: ## Step: every unit test of the library, under the address sanitizer.
	Tests/run --sanitize=address --scratch-path .build-asan --skip EnfiladeTests
	Tests/run --sanitize=address --scratch-path .build-asan --skip-build --no-parallel --filter EnfiladeTests

documentation: ## Step: the public module's documentation renders without a warning, and what its tutorial shows compiles.
	docs/render .build-asan

# Sound that is worked out slower than time goes by is left out by the mixer, and tests of it would look at silence.
thread: export ENFILADE_OPTIMIZED := sound
thread: export TSAN_OPTIONS := suppressions=$(CURDIR)/Tests/tsan.supp
thread: ## Step: what runs on several threads, under the thread sanitizer.
	Tests/run --sanitize=thread --scratch-path .build-tsan --no-parallel --filter 'EnfiladeTests|SPSCRing|RelayTests'

fuzz: ## Step: every fuzz target for a few seconds.
	Tests/Fuzz/run $(FUZZ_SECONDS)

portable: ## Step: the package builds where Intel's multi-buffer library is absent.
	ENFILADE_WITHOUT_IPSEC_MB=1 swift build --scratch-path .build-portable --target EnfiladeSRTP

release: server clients ## Step: the release builds of the server, of the network impairer and of the load client.

server:
	swift build --configuration release --package-path $(EXAMPLE) --product enfilade-meet

clients:
	swift build --configuration release --product enfilade-impair
	swift build --configuration release --product enfilade-load

# With the very flags of the release build, so that nothing is compiled twice.
example: ## Step: the unit tests of the example server.
	Tests/run --configuration release --disable-testable-imports --package-path $(EXAMPLE)

browser: ## Step: Chromium, Firefox and aiortc against the release server; pictures of the page in build/screenshots.
	Tests/Browser/run

bench-peers: bench-packages server ## Compares Enfilade with Janus and Pion under the same load; PEERS="--rounds 1" for a quick look.
	Benchmarks/run-peers $(PEERS)

bench-mix: bench-packages ## Compares mixing with Janus AudioBridge under the same load; MIX="--rounds 1" for a quick look.
	swift build --configuration release --product enfilade-bench
	@$(BENCH) mix-peers $(MIX)

bench-meeting: server ## Measures a room of fifty on this machine: loss, latency, and what it costs the server.
	swift build --configuration release --product enfilade-bench
	@$(BENCH) meeting --enfilade $(SERVER) $(MEETING)

steady: ## Step: forwarding allocates nothing once it runs.
	swift build --configuration release --product enfilade-bench
	@set -e; for profile in $(PROFILES); do $(BENCH) fanout --in-process --profile $$profile --rounds 1 --latency-load 0 --forbid-mallocs; done
	$(BENCH) fanout --rounds 1 --latency-load 0 --forbid-mallocs

docs: ## Renders the public module's documentation into build/documentation.
	swift build --target Enfilade
	docs/render

lint: ## Step: the Swift files are formatted as .swift-format says.
	$(SWIFT_FILES) | xargs -0 swift format lint --strict --parallel

bench: ## Measures the packet path in release, and prints the tables.
	swift build --configuration release --product enfilade-bench
	@for profile in $(PROFILES); do $(BENCH) fanout --in-process --profile $$profile; echo; done
	@for profile in $(PROFILES); do $(BENCH) fanout --profile $$profile; echo; done
	@$(BENCH) protect; echo
	@mkdir -p build
	@$(BENCH) scale --subscribers 50,200,1000,2000 --svg build/scale.svg; echo
	@echo "The curve is in build/scale.svg."

format: ## Formats every Swift file.
	$(SWIFT_FILES) | xargs -0 swift format format --in-place --parallel

packages:
	@.ci/packages build

test-packages:
	@.ci/packages test

bench-packages:
	@.ci/packages bench

clean: ## Removes everything that was built.
	rm -rf .build .build-* build $(EXAMPLE)/.build
