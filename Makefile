# make              builds what ioth-run needs: dist/ (TypeScript) and build/ (C)
# make deps         installs the Debian packages that build, demo and tests need
# make test         all of it, tests included; ends with "N passed, N failed"
# make demo         nginx and wget, each an Internet node of its own
# make install      to $(DESTDIR)$(PREFIX)
# make test-cpython CPython's own network tests, all of them; make test has the quick ones
# make test-apps    programs whose packages are too large for make deps (Java, Go), installed first
# make lint, bench, soak, fuzz, clean

PREFIX  = /usr/local
LIB     = $(PREFIX)/lib/ioth
CFLAGS  = -O2 -g
C       = -std=c11 -Wall -Wextra -Werror -D_GNU_SOURCE
BIN     = node_modules/.bin
SOURCES = $(shell find src cli bench -name '*.ts' 2>/dev/null)
PROGRAM = launch undertaker
WATCH   = $(patsubst %.c,build/%.c.o,$(wildcard supervisor/*.c))
SHIM    = $(filter-out $(PROGRAM:%=build/shim/%.c.o), $(patsubst preload/%,build/shim/%.o,$(wildcard preload/*.[cS])))
# The two contracts are laid out by hand, as tables.
CFILES  = $(filter-out preload/abi.h preload/ioth.h, \
	  $(wildcard preload/*.[ch] supervisor/*.[ch] test/*/*.[ch] bench/lib/*.c))
MODULES = node_modules/.package-lock.json

all: build/dist.stamp build/libioth.so build/ioth-launch build/ioth-undertaker build/ioth-supervisor

$(MODULES): package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

build/dist.stamp: $(MODULES) src/tsconfig.json cli/start.sh tools/bundle.js $(SOURCES)
	$(BIN)/tsc -p src/tsconfig.json
	node tools/bundle.js
	cp cli/start.sh dist/cli/
	chmod +x dist/cli/ioth.js dist/cli/ioth-*.js
	@mkdir -p build && touch $@

build/shim/%.o: preload/% Makefile
	@mkdir -p build/shim
	$(CC) $(C) $(CFLAGS) -fPIC -fvisibility=hidden -pthread -MMD -c $< -o $@

build/libioth.so: $(SHIM)
	$(CC) -shared -pthread $(LDFLAGS) $^ -ldl -o $@

build/ioth-%: preload/%.c $(wildcard preload/*.h) Makefile
	@mkdir -p build
	$(CC) $(C) $(CFLAGS) $(LDFLAGS) $< -o $@

build/supervisor/%.o: supervisor/% Makefile
	@mkdir -p build/supervisor
	$(CC) $(C) $(CFLAGS) -pthread -MMD -c $< -o $@

build/ioth-supervisor: $(WATCH) $(SHIM)
	$(CC) -pthread $(LDFLAGS) $^ -ldl -o $@

-include $(SHIM:.o=.d) $(WATCH:.o=.d)

deps:
	@sh tools/deps.sh

test: deps all
	@node tools/test.js

# For a part of it: make some TESTS="test/cli test/abi.ts"
some: all
	@node tools/test.js $(TESTS)

test-cpython: deps all
	@node tools/test.js test/cpython/all.ts

test-apps: deps all
	@sh tools/deps.sh large
	@node tools/test.js test/large

fuzz: all
	@node tools/test.js test/fuzz

soak: all
	@node tools/test.js test/soak

bench: all
	@set -e; for file in dist/bench/*.js; do echo "== $$file"; node "$$file"; done

demo: deps all
	@sh demo/demo.sh

lint: all
	$(BIN)/tsc -p src/tsconfig.json --noEmit
	$(BIN)/tsc -p test/tsconfig.json
	$(BIN)/eslint src cli test tools
	$(BIN)/prettier --check --log-level warn src cli test tools demo bench '*.json' '*.js'
	clang-format --style=file:preload/.clang-format --dry-run -Werror $(CFILES)
	cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --suppress=allocaCalled \
		--enable=warning,portability,performance -Ipreload preload supervisor

install: all
	sh tools/install.sh "$(DESTDIR)$(LIB)" "$(DESTDIR)$(PREFIX)/bin"

uninstall:
	rm -rf "$(DESTDIR)$(LIB)"
	cd "$(DESTDIR)$(PREFIX)/bin" && rm -f ioth ioth-run ioth-switch

clean:
	rm -rf dist build .tap

.PHONY: all deps test some test-cpython test-apps fuzz soak bench demo lint install uninstall clean
.DELETE_ON_ERROR:
