#!/usr/bin/env bash
# Files on SFTP servers are tested against OpenSSH. Install Debian's where we may; elsewhere the tests say what is missing.
set -u
command -v ssh >/dev/null && { command -v sshd || [ -x /usr/sbin/sshd ]; } >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "installing OpenSSH for the tests of files on SFTP servers"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssh-server openssh-client >/dev/null
fi
exit 0
