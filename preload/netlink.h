/* Netlink protocols that tell of devices, processes and the kernel itself, nothing of a network:
 * the shim leaves them to the kernel, and the seccomp filter lets them pass. */
#ifndef IOTH_NETLINK_H
#define IOTH_NETLINK_H

#include <linux/netlink.h>

static const unsigned char beside_networks[] = {
    NETLINK_USERSOCK,	   NETLINK_SELINUX,   NETLINK_ISCSI,
    NETLINK_AUDIT,	   NETLINK_CONNECTOR, NETLINK_KOBJECT_UEVENT,
    NETLINK_SCSITRANSPORT, NETLINK_ECRYPTFS,  NETLINK_CRYPTO,
};

#endif
