// SPDX-License-Identifier: Apache-2.0
// The command that hostile starts run in the container: it tries what no container of an ordinary user may be able
// to do, and says what succeeded. Static, because its image holds nothing else.
//
//   probe UID GID SECRET…   SECRET: files of the host that UID may not read. Prints "held", or a line per gain.
//   probe wait              says "up" and stays
//   probe keys              "held" unless a key that root has is found
//   probe regroup SECRET…   with CAP_SETGID: neither without his groups nor with another primary one does he read it
//   sh …                    an image's shell that never gets to an end
//   probe show FILE         prints it, or "none"
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static int gains;
static void gain(const char* what, const char* detail) {
  ++gains;
  printf("gained: %s %s\n", what, detail);
}

static void status_is_harmless(void) {
  FILE* status = fopen("/proc/self/status", "r");
  char line[4096];
  if (status == NULL) {
    gain("no status to read", strerror(errno));
    return;
  }
  while (fgets(line, sizeof line, status) != NULL) {
    char* colon = strchr(line, ':');
    if (colon == NULL) continue;
    if (strncmp(line, "Cap", 3) == 0 && strtoull(colon + 1, NULL, 16) != 0) gain("capabilities", line);
    if (strncmp(line, "NoNewPrivs:", 11) == 0 && atoi(colon + 1) != 1) gain("new privileges", line);
    if (strncmp(line, "Seccomp:", 8) == 0 && atoi(colon + 1) != 2) gain("no filter", line);
  }
  fclose(status);
  FILE* groups = fopen("/proc/self/setgroups", "r");
  if (groups != NULL && (fgets(line, sizeof line, groups) == NULL || strcmp(line, "deny\n") != 0)) gain("setgroups", line);
  if (groups != NULL) fclose(groups);
}

static void ids_are_his(uid_t uid, gid_t gid) {
  uid_t u[3];
  gid_t g[3];
  char ids[200];
  if (getresuid(&u[0], &u[1], &u[2]) != 0 || getresgid(&g[0], &g[1], &g[2]) != 0) return;
  snprintf(ids, sizeof ids, "%u %u %u, %u %u %u", u[0], u[1], u[2], g[0], g[1], g[2]);
  for (int i = 0; i < 3; ++i) {
    if (u[i] != uid || g[i] != gid) {
      gain("another's ids", ids);
      break;
    }
  }
  if (setresuid(0, 0, 0) == 0 || setuid(0) == 0) gain("root's uid", "");
  if (setresgid(0, 0, 0) == 0 || setgid(0) == 0) gain("root's gid", "");
  gid_t none = gid;
  if (setgroups(0, NULL) == 0 || setgroups(1, &none) == 0) gain("setgroups", "a group that shuts him out is gone");
}

static void no_foreign_descriptor(void) {
  for (int fd = 0; fd < 3; ++fd) {
    // What is opened next would be taken for it.
    if (fcntl(fd, F_GETFD) < 0) gain("a closed standard stream", "");
  }
  for (int fd = 3; fd < 4096; ++fd) {
    char path[64], to[512];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, to, sizeof to - 1);
    if (n < 0) continue;
    to[n] = 0;
    gain("descriptor", to);
  }
}

// Flags that were taken from a mount must not come back.
static void mounts_are_locked(const char* when) {
  FILE* list = fopen("/proc/self/mountinfo", "r");
  char line[8192], where[4096], flags[512], said[8192];
  while (list != NULL && fgets(line, sizeof line, list) != NULL) {
    if (sscanf(line, "%*s %*s %*s %*s %4095s %511s", where, flags) != 2) continue;
    snprintf(said, sizeof said, "%s %s", when, where);
    if (strstr(flags, "nosuid") == NULL) gain("a mount that honours set-id bits", said);
    if (strcmp(where, "/") == 0 && (strstr(flags, "nodev") == NULL || strncmp(flags, "ro", 2) != 0)) gain("an image with devices or to write", said);
    if (mount(NULL, where, NULL, MS_REMOUNT | MS_BIND, NULL) == 0) gain("remount rw,suid,dev", said);
    if (mount(NULL, where, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) == 0) gain("remount suid,dev", said);
    unsigned long long change[4] = {0, 1 | 2 | 4, 0, 0};
    if (syscall(442, AT_FDCWD, where, 0, change, sizeof change) == 0) gain("mount_setattr", said);
    if (umount2(where, MNT_DETACH) == 0) gain("umount", said);
  }
  if (list != NULL) fclose(list);
}

static void nested_namespaces_free_nothing(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    gains = 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) mounts_are_locked("nested");
    fflush(stdout);
    _exit(gains > 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) ++gains;
}

static void is_out_of_reach(int pid, const char* who) {
  for (const char* const* name = (const char* const[]){"mem", "environ", "root", "cwd", "fd/0", "ns/user", "ns/mnt", NULL}; *name != NULL; ++name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, *name);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0) gain(who, path);
  }
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) gain(who, "traced");
  long pidfd = syscall(SYS_pidfd_open, pid, 0);
  for (int fd = 0; pidfd >= 0 && fd < 64; ++fd) {
    if (syscall(SYS_pidfd_getfd, pidfd, fd, 0) >= 0) gain(who, "a descriptor");
  }
  if (pidfd >= 0) close((int)pidfd);
}

// The init holds the container's control socket, an image's server the /dev/fuse with which one can hang it.
static void our_own_programs_are_out_of_reach(void) {
  is_out_of_reach(getppid(), "of the init");
  DIR* processes = opendir("/proc");
  for (struct dirent* entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
    char path[300], name[64] = "";
    int pid = atoi(entry->d_name);
    if (pid <= 0 || pid == getpid()) continue;
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    FILE* comm = fopen(path, "r");
    if (comm == NULL) continue;
    if (fgets(name, sizeof name, comm) == NULL) name[0] = 0;
    fclose(comm);
    if (strncmp(name, "squashfuse", 10) == 0 || strncmp(name, "fuse", 4) == 0 || strncmp(name, "slipway-", 8) == 0) is_out_of_reach(pid, name);
  }
  if (processes != NULL) closedir(processes);
}

static void the_host_is_out_of_reach(void) {
  struct stat here, above;
  if (stat("/", &here) == 0 && stat("/..", &above) == 0 && (here.st_ino != above.st_ino || here.st_dev != above.st_dev))
    gain("a folder above the root", "");
  char cwd[4096];
  if (syscall(SYS_getcwd, cwd, sizeof cwd) > 0 && cwd[0] != '/') gain("a working directory outside", cwd);
  for (const char* const* path = (const char* const[]){"/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper",
                                                       "/proc/sys/kernel/hostname", NULL};
       *path != NULL; ++path) {
    if (open(*path, O_WRONLY | O_CLOEXEC) >= 0) gain("a setting of the kernel", *path);
  }
  for (const char* const* where = (const char* const[]){"/tmp/probe-node", "/dev/probe-node", "/dev/shm/probe-node", NULL}; *where != NULL; ++where) {
    if (mknod(*where, S_IFBLK | 0600, makedev(7, 0)) != 0) continue;
    gain("a device node", *where);
    unlink(*where);
  }
}

// His primary group may be what shuts him out of a file: with another of his groups in its place it must go on.
static void try_with_other_groups(char** secrets) {
  static gid_t groups[65536];
  int count = getgroups(65536, groups);
  for (int i = 0; i < count && i < 400; ++i) {
    if (setresgid(groups[i], groups[i], groups[i]) != 0) continue;
    for (char** secret = secrets; *secret != NULL && secret < secrets + 8; ++secret) {
      if (open(*secret, O_RDONLY | O_CLOEXEC) >= 0) gain("another's file with another primary group", *secret);
    }
  }
}

static int show(const char* path) {
  char text[256] = "none\n";
  FILE* file = fopen(path, "r");
  if (file != NULL && fgets(text, sizeof text, file) == NULL) text[0] = 0;
  fputs(text, stdout);
  return 0;
}

static int keys(void) {
  const long search = 10, session = -3;  // KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING
  if (syscall(SYS_keyctl, search, session, "user", "slipway-test-of-root", 0) >= 0) gain("a key of root's", "");
  else if (errno != ENOKEY) gain("no answer about keys:", strerror(errno));
  if (gains == 0) puts("held");
  return gains > 0;
}

static int regroup(char** secrets) {
  if (setgroups(0, NULL) == 0) gain("setgroups", "a group that shuts him out is gone");
  try_with_other_groups(secrets);
  if (gains == 0) puts("held");
  return gains > 0;
}

extern char** environ;

// The daemon that made the container has this in its environment.
static void nothing_of_roots_environment(void) {
  for (char** entry = environ; *entry != NULL; ++entry) {
    if (strncmp(*entry, "SLIPWAY_TEST_OF_ROOT", 20) == 0) gain("of root's environment", *entry);
  }
}

int main(int argc, char** argv) {
  if (argc == 2 && strcmp(argv[1], "keys") == 0) return keys();
  if (argc > 2 && strcmp(argv[1], "regroup") == 0) return regroup(argv + 2);
  const char* name = strrchr(argv[0], '/');
  if (argc == 2 && strcmp(argv[1], "wait") == 0) {
    puts("up");
    fflush(stdout);
    for (;;) pause();
  }
  while (strcmp(name == NULL ? argv[0] : name + 1, "sh") == 0) pause();
  if (argc == 3 && strcmp(argv[1], "show") == 0) return show(argv[2]);
  if (argc < 3) return 64;
  status_is_harmless();
  nothing_of_roots_environment();
  no_foreign_descriptor();
  ids_are_his((uid_t)strtoul(argv[1], NULL, 10), (gid_t)strtoul(argv[2], NULL, 10));
  mounts_are_locked("plain");
  our_own_programs_are_out_of_reach();
  the_host_is_out_of_reach();
  nested_namespaces_free_nothing();
  for (int i = 3; i < argc; ++i) {
    if (open(argv[i], O_RDONLY | O_CLOEXEC) >= 0) gain("another's file", argv[i]);
  }
  if (gains == 0) puts("held");
  return gains > 0;
}
