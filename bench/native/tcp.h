/* TCP on the loopback interface. */
#ifndef TCP_H
#define TCP_H

#include "fail.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

static inline struct sockaddr_in tcp_address(uint32_t host, int port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(host),
        .sin_port = htons((uint16_t)port),
    };
}

static inline void tcp_no_delay(int fd)
{
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

/* Listens on a port that is free, and tells which. */
static inline int tcp_listen(int *port)
{
    int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    struct sockaddr_in address = tcp_address(INADDR_LOOPBACK, 0);
    socklen_t length = sizeof address;
    must(bind(fd, (struct sockaddr *)&address, length), "bind");
    must(listen(fd, SOMAXCONN), "listen");
    must(getsockname(fd, (struct sockaddr *)&address, &length), "getsockname");
    *port = ntohs(address.sin_port);
    return fd;
}

/* Connects, and waits until it is. */
static inline int tcp_connect(int port)
{
    int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    struct sockaddr_in address = tcp_address(INADDR_LOOPBACK, port);
    must(connect(fd, (struct sockaddr *)&address, sizeof address), "connect");
    tcp_no_delay(fd);
    return fd;
}

#endif
