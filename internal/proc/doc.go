// Package proc reads what this machine shows of another process: its arguments,
// environment, working directory and parent. Only Linux shows them here;
// elsewhere nothing is to be seen. What is read is what that process says of
// itself, so it may decide what is done for it and never what it may do.
package proc
