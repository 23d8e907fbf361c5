// Package getopt reads command lines the way ssh reads its own: clusters of
// one-letter options, values attached or in the next word, options again after
// the host. It exists because git, scp, rsync and ansible call us with what
// they would say to ssh, and the parsers at hand eat an "=", lose the count in
// -tt or want long names.
//
// It refuses to interpret: it knows which options take a value, and nothing of
// what any of them means or whether they contradict each other. It reads no
// file, no environment and no configuration, and has no state. What it does
// judge are the names of hosts and users, since those end in shell commands
// (ProxyCommand, Match exec) and come from whoever wrote a clone URL.
package getopt
