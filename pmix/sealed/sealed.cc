// SPDX-License-Identifier: Apache-2.0
// libpmix and hwloc can do more than a server of a step wants of them: open plugins, look users and hosts up
// by what the site's name service loads, ask udev and munge. Linked statically the first two would map a
// second C library into stepd, and of the others Debian has no archives. So a stepd that is linked with them
// answers here: there are no plugins, no users, no names, no udev, no munge. None of it is called on a way
// that a step takes, but by libpmix's look for settings and plugins in the user's home.
#include <netdb.h>
#include <pwd.h>

extern "C" {

void* dlopen(const char*, int) { return nullptr; }
void* dlsym(void*, const char*) { return nullptr; }
int dlclose(void*) { return 0; }
char* dlerror() {
  static char words[] = "stepd opens no libraries";
  return words;
}

passwd* getpwuid(uid_t) { return nullptr; }
int getaddrinfo(const char*, const char*, const addrinfo*, addrinfo**) { return EAI_NONAME; }
void freeaddrinfo(addrinfo*) {}

void* udev_new() { return nullptr; }
void* udev_unref(void*) { return nullptr; }
void* udev_device_new_from_subsystem_sysname(void*, const char*, const char*) { return nullptr; }
const char* udev_device_get_property_value(void*, const char*) { return nullptr; }
void* udev_device_unref(void*) { return nullptr; }

// munge_err_t: EMUNGE_SNAFU, "internal error".
int munge_encode(char**, void*, const void*, int) { return 1; }
int munge_decode(const char*, void*, void**, int*, uid_t*, gid_t*) { return 1; }
const char* munge_strerror(int) { return "stepd speaks no munge"; }
}
