# The front door: each target sets up all it needs, then hands over to CMake presets.
PRESET ?= release

.PHONY: all build setup test demo benchmarks format clean
all: build

setup:
	@tools/setup

build: setup
	@cmake --preset $(PRESET) $(if $(VERBOSE),,--log-level=WARNING)
	@cmake --build --preset $(PRESET)

test: build
	@ctest --preset $(PRESET)

demo: build
	@examples/demo.sh

# QUICK=1: about ten minutes.
benchmarks: build
	@tools/peers
	@benchmarks/run $(if $(QUICK),--quick)

format:
	@git ls-files '*.h' '*.cpp' | xargs clang-format -i

clean:
	@rm -rf build
