# SPDX-License-Identifier: MIT
# A remote control: each button is a line or two; the work is in meson, tests/ and tools/.
.PRECIOUS: build-%/build.ninja
.PHONY: all run deps deps-build check test test-kafka asan tsan fuzz soak bench bench-compare docs tidy clean
.PHONY: bench-native bench-log bench-scale bench-trials
RELEASE = --buildtype=release -Db_lto=true
CHECKED = --buildtype=debugoptimized

all: build/build.ninja
	@meson compile -C build fluxmq
	@tools/place.sh build

build/build.ninja:
	@rm -rf build && meson setup build $(RELEASE)
build-%/build.ninja:
	@rm -rf build-$* && meson setup build-$* $(CHECKED) $(if $(filter asan,$*),-Db_sanitize=address$(,)undefined) \
	  $(if $(filter tsan,$*),-Db_sanitize=thread) $(if $(filter-out check,$*),-Db_lundef=false)
, := ,

.PRECIOUS: build-%/build.ninja
build-%/stamp: build-%/build.ninja FORCE
	@ninja -C build-$* $(NINJA_FLAGS) && tools/place.sh build-$*
FORCE:

# Starts the broker on 9092 with its data in ./data.
run: deps-build all
	@exec build/fluxmq --data-dir ./data

# Installs what is missing: of Debian for building and testing, and the clients that tests/real runs.
deps: deps-build
	@tools/deps.sh tools/deps-test.txt tools/deps-demo.txt
	@if [ -x tests/real/deps.sh ]; then tests/real/deps.sh; fi
	@if [ -x tests/nats/deps.sh ]; then tests/nats/deps.sh; fi
deps-build:
	@tools/deps.sh tools/deps.txt

# Under two minutes: what to run before a commit.
check: all build-check/stamp
	@python3 tools/run-tests.py check
# Everything, under thirty minutes.
test: deps all build-check/stamp build-asan/stamp build-tsan/stamp
	@python3 tools/run-tests.py test

# All recorded requests, sent to ours and to a real Kafka side by side.
test-kafka: all
	@tests/kafka/kafka.sh fetch
	@python3 tools/run-tests.py test-kafka

asan tsan: %: build-%/stamp
	@python3 tools/run-tests.py $*
# clang's libFuzzer on every target, FUZZ_SECONDS each.
fuzz:
	@tools/fuzz.sh $(or $(FUZZ_SECONDS),60)
# Kill, restart and compare for a long time.
soak: all
	@python3 tests/crash/run.py --rounds $(or $(ROUNDS),1000)
# FluxMQ beside a real Kafka, in some ten minutes; bench/BENCHMARK_RULES.md has the rules.
bench: all
	@python3 bench/compare.py --quick
# The same with all records and five rounds (ROUNDS=n), an hour or so.
bench-compare: all
	@benchmark-suite/runners/run_comparison.sh --rounds $(or $(ROUNDS),5)
# Changes of a Postgres table, through Debezium and Kafka Connect, to a consumer: half a minute.
demo-cdc: deps-build all
	@tools/deps.sh tools/deps-demo.txt && tests/real/deps.sh demo
	@python3 demo/cdc/run.py --kill
# Beside what this machine can do (bench/limits.c) and Kafka, with the native generator; the log library by itself;
# many partitions, connections, sizes, a long backlog.
bench-native: all
	@python3 bench/native.py $(BENCH_OPTIONS)
bench-log: all
	@python3 bench/logs.py $(BENCH_OPTIONS)
bench-scale: all
	@python3 bench/scale.py $(BENCH_OPTIONS)
# The ways that are gone beside those that are not (docs/performance.md), in five minutes.
bench-trials: all
	@python3 bench/trials.py $(BENCH_OPTIONS)
docs: all
	@tools/docs.py
tidy:
	@python3 tools/tidy.py
clean:
	@rm -rf build build-check build-asan build-tsan build-fuzz
