# Builds, installs and packs muxd. go build ./... and go test ./... need none of this.

PREFIX ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell sed -n 's/^const Version = "\(.*\)"/\1/p' internal/build/*.go)
GO ?= go

bin = $(DESTDIR)$(PREFIX)/bin
share = $(DESTDIR)$(PREFIX)/share
units = $(DESTDIR)$(PREFIX)/lib/systemd/user

# The same source and Go give the same bytes, wherever they are built.
build_flags = -trimpath -buildvcs=false -ldflags='-s -w -buildid='

.PHONY: all test check fuzz soak install uninstall packages reproducible clean changelog
.DELETE_ON_ERROR:

all: build/muxc build/muxd build/sbom.cdx.json

# All that go build reads here, so that "make && sudo make install" compiles
# nothing as root; build/for-* tells that the last build was for another machine.
sources = go.mod go.sum Makefile $(shell find . -path ./build -prune -o \( -name '*.go' ! -name '*_test.go' -o -path './packaging/*/*' -type f \) -print)
target = build/for-$(GOOS)-$(GOARCH)

build/muxc build/muxd: $(sources) $(target)
	CGO_ENABLED=0 $(GO) build $(build_flags) -o $@ ./cmd/$(notdir $@)

$(target):
	mkdir -p build && rm -f build/for-* && touch $@

# What they are made of, and in build/copyright the licences of that. GOOS may be another machine's.
build/sbom.cdx.json: build/muxc build/muxd
	GOOS= GOARCH= $(GO) run ./packaging/sbom -o $@ -licenses build/copyright build/muxc build/muxd

test:
	$(GO) test ./...

FUZZTIME ?= 10m

fuzz: # every target, for FUZZTIME each
	.ci/fuzz $(FUZZTIME)

SOAK ?= 1h

# The long runs: faults at random for SOAK, a thousand clients a second for a
# minute, a thousand sessions, hosts, slow readers and silent clients at a time. Not in CI, which
# has the short forms of them.
soak:
	$(GO) test ./cmd/muxc -run '^Test(Soak|Rate|ThousandSilent)$$' -count=1 -v -timeout 0 -parallel 1 -soak $(SOAK) -rate 1000 -ratefor 1m -live 1000 -silent 1000
	$(GO) test ./master -run '^Test(Scale|SlowReaders|ThousandSessions|RekeyUnderLoad)$$' -count=1 -v -timeout 0 -scale 1000 -slow 1000

check: # all that a change must pass
	.ci/run

install: all
	install -d $(bin) $(share)/man/man1 $(share)/man/man5 $(share)/man/man8 $(units) \
	    $(share)/bash-completion/completions $(share)/zsh/site-functions $(share)/fish/vendor_completions.d $(share)/doc/muxd/docs
	install -m 755 build/muxc build/muxd $(bin)
	install -m 644 packaging/man/muxc.1 $(share)/man/man1
	install -m 644 packaging/man/muxd_config.5 $(share)/man/man5
	install -m 644 packaging/man/muxd.8 $(share)/man/man8
	install -m 644 packaging/completions/muxc.bash $(share)/bash-completion/completions/muxc
	install -m 644 packaging/completions/muxd.bash $(share)/bash-completion/completions/muxd
	install -m 644 packaging/completions/_muxc packaging/completions/_muxd $(share)/zsh/site-functions
	install -m 644 packaging/completions/muxc.fish packaging/completions/muxd.fish $(share)/fish/vendor_completions.d
	install -m 644 packaging/systemd/muxd.socket $(units)
	sed 's|^ExecStart=.*|ExecStart=$(PREFIX)/bin/muxd|' packaging/systemd/muxd.service >$(units)/muxd.service
	chmod 644 $(units)/muxd.service
	install -m 644 README.md SECURITY.md build/sbom.cdx.json build/copyright $(share)/doc/muxd
	install -m 644 docs/*.md docs/*.svg $(share)/doc/muxd/docs

uninstall:
	rm -f $(bin)/muxc $(bin)/muxd $(share)/man/man1/muxc.1 $(share)/man/man5/muxd_config.5 $(share)/man/man8/muxd.8 \
	    $(share)/bash-completion/completions/muxc $(share)/bash-completion/completions/muxd \
	    $(share)/zsh/site-functions/_muxc $(share)/zsh/site-functions/_muxd \
	    $(share)/fish/vendor_completions.d/muxc.fish $(share)/fish/vendor_completions.d/muxd.fish \
	    $(units)/muxd.socket $(units)/muxd.service
	rm -rf $(share)/doc/muxd

# deb and rpm by nfpm (https://nfpm.goreleaser.com), of what install lays out.
# PACKAGES is where they go.
NFPM ?= build/nfpm
PACKAGES ?= build/packages
# The time of every file in them, without which no two are the same.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)
packed = SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) VERSION=$(VERSION) ARCH=$(shell $(GO) env GOARCH) $(NFPM) package -f packaging/nfpm.yaml -t $(PACKAGES)/

packages: $(NFPM) changelog
	rm -rf build/root && $(MAKE) install DESTDIR=build/root PREFIX=/usr
	install -m 644 build/CHANGELOG.md build/root/usr/share/doc/muxd
	mkdir -p $(PACKAGES)
	$(packed) -p rpm
	cd build/root/usr/share/zsh && mv site-functions vendor-completions # Debian's zsh looks there alone
	$(packed) -p deb

build/nfpm: packaging/tools/go.mod
	GOOS= GOARCH= $(GO) build -modfile=packaging/tools/go.mod -o $@ github.com/goreleaser/nfpm/v2/cmd/nfpm

# Builds twice, in two places and without a cache, and compares: minutes. HOW=quick
# has Go's library and the modules from the cache.
reproducible:
	packaging/reproducible $(HOW)

changelog:
	mkdir -p build
	packaging/changelog >build/CHANGELOG.md

clean:
	rm -rf build
