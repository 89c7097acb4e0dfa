// A minimal server of the REST API: one thread, epoll, a hash table, HTTP and HTTPS. It is fast and
// supports only the requests of the benchmarks, so that they measure the client.
//   cc -O2 -o rest_server rest_server.c -lssl -lcrypto
//   ./rest_server PLAIN_PORT TLS_PORT DELAY_PLAIN_PORT DELAY_TLS_PORT DELAY_US cert.pem key.pem
// Requests: POST / [cmd], POST /pipeline [[cmd]..], POST /set/KEY with a raw body, POST /get/KEY;
//           Upstash-Encoding: base64, Upstash-Response-Format: resp2.
// Commands: GET SET SETEX MGET DEL PING ECHO FLUSHALL
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char *p;
    size_t n, cap;
} Buf;
static void bgrow(Buf *b, size_t add) {
    if (b->n + add > b->cap) {
        size_t c = b->cap ? b->cap : 4096;
        while (c < b->n + add)
            c *= 2;
        b->p = realloc(b->p, c);
        b->cap = c;
    }
}
static void bput(Buf *b, const void *s, size_t n) {
    bgrow(b, n);
    memcpy(b->p + b->n, s, n);
    b->n += n;
}
static void bputs(Buf *b, const char *s) { bput(b, s, strlen(s)); }

// ---- store ----
typedef struct Ent {
    struct Ent *next;
    uint32_t h;
    size_t kn, vn;
    char *k, *v;
} Ent;
#define NB 65536
static Ent *tab[NB];
static uint32_t fnv(const char *s, size_t n) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) {
        h ^= (uint8_t)s[i];
        h *= 16777619u;
    }
    return h;
}
static Ent *find(const char *k, size_t n) {
    uint32_t h = fnv(k, n);
    for (Ent *e = tab[h % NB]; e; e = e->next)
        if (e->h == h && e->kn == n && !memcmp(e->k, k, n))
            return e;
    return 0;
}
static void setk(const char *k, size_t n, const char *v, size_t vn) {
    Ent *e = find(k, n);
    if (!e) {
        e = calloc(1, sizeof *e);
        e->h = fnv(k, n);
        e->kn = n;
        e->k = malloc(n + 1);
        memcpy(e->k, k, n);
        e->next = tab[e->h % NB];
        tab[e->h % NB] = e;
    }
    if (e->vn < vn || !e->v) {
        free(e->v);
        e->v = malloc(vn + 1);
    }
    memcpy(e->v, v, vn);
    e->vn = vn;
}
static int delk(const char *k, size_t n) {
    uint32_t h = fnv(k, n);
    for (Ent **p = &tab[h % NB]; *p; p = &(*p)->next) {
        Ent *e = *p;
        if (e->h == h && e->kn == n && !memcmp(e->k, k, n)) {
            *p = e->next;
            free(e->k);
            free(e->v);
            free(e);
            return 1;
        }
    }
    return 0;
}

// ---- encode ----
static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
enum { JSON, JB64, RESP };
static void put_str(Buf *o, const char *s, size_t n, int fmt) {
    if (fmt == RESP) {
        char t[32];
        int k = sprintf(t, "$%zu\r\n", n);
        bput(o, t, k);
        bput(o, s, n);
        bput(o, "\r\n", 2);
        return;
    }
    if (fmt == JB64) {
        bgrow(o, (n + 2) / 3 * 4 + 2);
        char *d = o->p + o->n;
        *d++ = '"';
        size_t i = 0;
        const uint8_t *u = (const uint8_t *)s;
        for (; i + 2 < n; i += 3) {
            uint32_t v = u[i] << 16 | u[i + 1] << 8 | u[i + 2];
            *d++ = B64[v >> 18];
            *d++ = B64[v >> 12 & 63];
            *d++ = B64[v >> 6 & 63];
            *d++ = B64[v & 63];
        }
        if (i < n) {
            uint32_t v = u[i] << 16 | (i + 1 < n ? u[i + 1] << 8 : 0);
            *d++ = B64[v >> 18];
            *d++ = B64[v >> 12 & 63];
            *d++ = i + 1 < n ? B64[v >> 6 & 63] : '=';
            *d++ = '=';
        }
        *d++ = '"';
        o->n = d - o->p;
        return;
    }
    bgrow(o, n * 6 + 2);
    char *d = o->p + o->n;
    *d++ = '"';
    for (size_t i = 0; i < n; i++) {
        uint8_t c = s[i];
        if (c == '"' || c == '\\') {
            *d++ = '\\';
            *d++ = c;
        } else if (c < 0x20)
            d += sprintf(d, "\\u%04x", c);
        else
            *d++ = c;
    }
    *d++ = '"';
    o->n = d - o->p;
}
static void put_ok(Buf *o, int fmt, const char *s) {
    if (fmt == RESP) {
        bput(o, "+", 1);
        bputs(o, s);
        bput(o, "\r\n", 2);
    } else {
        bput(o, "\"", 1);
        bputs(o, s);
        bput(o, "\"", 1);
    }
}
static void put_nil(Buf *o, int fmt) { bputs(o, fmt == RESP ? "$-1\r\n" : "null"); }
static void put_int(Buf *o, int fmt, long v) {
    char t[40];
    bput(o, t, fmt == RESP ? sprintf(t, ":%ld\r\n", v) : sprintf(t, "%ld", v));
}

// ---- JSON args ----
typedef struct {
    char *p;
    size_t n;
} Arg;
static Arg *args;
static int nargs, capargs;
static void addarg(char *p, size_t n) {
    if (nargs == capargs) {
        capargs = capargs ? capargs * 2 : 64;
        args = realloc(args, capargs * sizeof *args);
    }
    args[nargs].p = p;
    args[nargs++].n = n;
}
static int hexv(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }
static char *ws(char *p) {
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}
// Decodes in place; p points at '[', the result behind ']'.
static char *parse_cmd(char *p, char *end) {
    nargs = 0;
    p = ws(p);
    if (*p != '[')
        return 0;
    p = ws(p + 1);
    while (p < end && *p != ']') {
        if (*p == '"') {
            char *s = ++p, *q = memchr(p, '"', end - p);
            if (!q)
                return 0;
            char *b = memchr(p, '\\', q - p);
            if (!b) {
                addarg(s, q - s);
                p = q + 1;
            } else {
                char *d = b;
                p = b;
                while (p < end && *p != '"') {
                    if (*p != '\\') {
                        *d++ = *p++;
                        continue;
                    }
                    p++;
                    char c = *p++;
                    switch (c) {
                    case 'n':
                        *d++ = '\n';
                        break;
                    case 't':
                        *d++ = '\t';
                        break;
                    case 'r':
                        *d++ = '\r';
                        break;
                    case 'b':
                        *d++ = '\b';
                        break;
                    case 'f':
                        *d++ = '\f';
                        break;
                    case 'u': {
                        uint32_t v =
                            hexv(p[0]) << 12 | hexv(p[1]) << 8 | hexv(p[2]) << 4 | hexv(p[3]);
                        p += 4;
                        if (v >= 0xD800 && v < 0xDC00 && p[0] == '\\' && p[1] == 'u') {
                            uint32_t w =
                                hexv(p[2]) << 12 | hexv(p[3]) << 8 | hexv(p[4]) << 4 | hexv(p[5]);
                            p += 6;
                            v = 0x10000 + ((v - 0xD800) << 10) + (w - 0xDC00);
                        }
                        if (v < 0x80)
                            *d++ = v;
                        else if (v < 0x800) {
                            *d++ = 0xC0 | v >> 6;
                            *d++ = 0x80 | (v & 63);
                        } else if (v < 0x10000) {
                            *d++ = 0xE0 | v >> 12;
                            *d++ = 0x80 | (v >> 6 & 63);
                            *d++ = 0x80 | (v & 63);
                        } else {
                            *d++ = 0xF0 | v >> 18;
                            *d++ = 0x80 | (v >> 12 & 63);
                            *d++ = 0x80 | (v >> 6 & 63);
                            *d++ = 0x80 | (v & 63);
                        }
                        break;
                    }
                    default:
                        *d++ = c;
                    }
                }
                addarg(s, d - s);
                p++;
            }
        } else {
            char *s = p;
            while (p < end && *p != ',' && *p != ']' && *p != ' ')
                p++;
            addarg(s, p - s);
        }
        p = ws(p);
        if (*p == ',')
            p = ws(p + 1);
    }
    return p + 1;
}
static int is(Arg a, const char *s) { return a.n == strlen(s) && !strncasecmp(a.p, s, a.n); }
static void run_cmd(Buf *o, int fmt) {
    if (!nargs) {
        bputs(o, "\"\"");
        return;
    }
    if (is(args[0], "GET") && nargs == 2) {
        Ent *e = find(args[1].p, args[1].n);
        if (e)
            put_str(o, e->v, e->vn, fmt);
        else
            put_nil(o, fmt);
    } else if (is(args[0], "SET") && nargs >= 3) {
        setk(args[1].p, args[1].n, args[2].p, args[2].n);
        put_ok(o, fmt, "OK");
    } else if (is(args[0], "SETEX") && nargs == 4) {
        setk(args[1].p, args[1].n, args[3].p, args[3].n);
        put_ok(o, fmt, "OK");
    } else if (is(args[0], "MGET")) {
        if (fmt == RESP) {
            char t[24];
            bput(o, t, sprintf(t, "*%d\r\n", nargs - 1));
        } else
            bput(o, "[", 1);
        for (int i = 1; i < nargs; i++) {
            if (i > 1 && fmt != RESP)
                bput(o, ",", 1);
            Ent *e = find(args[i].p, args[i].n);
            if (e)
                put_str(o, e->v, e->vn, fmt);
            else
                put_nil(o, fmt);
        }
        if (fmt != RESP)
            bput(o, "]", 1);
    } else if (is(args[0], "DEL")) {
        long c = 0;
        for (int i = 1; i < nargs; i++)
            c += delk(args[i].p, args[i].n);
        put_int(o, fmt, c);
    } else if (is(args[0], "ECHO") && nargs == 2)
        put_str(o, args[1].p, args[1].n, fmt);
    else
        put_ok(o, fmt, "PONG");
}

// ---- connections ----
typedef struct Conn {
    int fd, delay;
    SSL *ssl;
    Buf in, out;
    size_t off;
    int hs, wantw;
    uint64_t due;
    struct Conn *qn;
    int queued, dead;
} Conn;
static int ep;
static SSL_CTX *ctx;
static uint64_t delay_us;
static Conn *qh, *qt;
static uint64_t now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}
static void setev(Conn *c, int w) {
    if (c->wantw == w)
        return;
    c->wantw = w;
    struct epoll_event e = {.events = EPOLLIN | (w ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void drop(Conn *c) {
    if (c->fd >= 0) {
        if (c->ssl)
            SSL_free(c->ssl);
        close(c->fd);
        c->fd = -1;
    }
    if (c->queued) {
        c->dead = 1;
        return;
    }
    free(c->in.p);
    free(c->out.p);
    free(c);
}
static int flush_out(Conn *c) { // -1 error, 0 done, 1 pending
    while (c->off < c->out.n) {
        ssize_t r;
        if (c->ssl) {
            r = SSL_write(c->ssl, c->out.p + c->off,
                          c->out.n - c->off > (1 << 20) ? 1 << 20 : c->out.n - c->off);
            if (r <= 0) {
                int e = SSL_get_error(c->ssl, r);
                if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ) {
                    setev(c, 1);
                    return 1;
                }
                return -1;
            }
        } else {
            r = send(c->fd, c->out.p + c->off, c->out.n - c->off, MSG_NOSIGNAL);
            if (r < 0) {
                if (errno == EAGAIN) {
                    setev(c, 1);
                    return 1;
                }
                return -1;
            }
        }
        c->off += r;
    }
    c->out.n = c->off = 0;
    setev(c, 0);
    return 0;
}
static Buf tmp;
static const char *hdr(const char *h, const char *e,
                       const char *name) { // start of the header's value, or 0
    size_t n = strlen(name);
    for (const char *p = h; p < e;) {
        if ((size_t)(e - p) > n && !strncasecmp(p, name, n) && p[n] == ':') {
            p += n + 1;
            while (*p == ' ')
                p++;
            return p;
        }
        p = memchr(p, '\n', e - p);
        if (!p)
            break;
        p++;
    }
    return 0;
}
// Handles one complete request; returns the bytes consumed, or 0.
// Decode %XX in place; return the new length.
static size_t decode_percent(char *text, size_t n) {
    size_t out = 0;
    for (size_t at = 0; at < n; at++, out++) {
        unsigned byte;
        if (text[at] == '%' && at + 2 < n && sscanf(text + at + 1, "%2x", &byte) == 1) {
            text[out] = (char)byte;
            at += 2;
        } else
            text[out] = text[at];
    }
    return out;
}
static size_t one(Conn *c, char *base, size_t n) {
    char *eoh = memmem(base, n, "\r\n\r\n", 4);
    if (!eoh)
        return 0;
    const char *v = hdr(base, eoh, "content-length");
    size_t bl = v ? strtoul(v, 0, 10) : 0;
    int chunked = 0;
    if ((v = hdr(base, eoh, "transfer-encoding")) && !strncasecmp(v, "chunked", 7))
        chunked = 1;
    char *body = eoh + 4;
    size_t hl = body - base, used;
    if (!chunked) {
        if (n - hl < bl)
            return 0;
        used = hl + bl;
    } else { // sent by streaming clients; first pass: is it complete? second pass: join in place
        char *p = body, *end = base + n;
        for (;;) {
            char *q = memmem(p, end - p, "\r\n", 2);
            if (!q)
                return 0;
            size_t k = strtoul(p, 0, 16);
            if ((size_t)(end - q - 2) < k + 2)
                return 0;
            p = q + 2 + k + 2;
            if (!k)
                break;
        }
        used = p - base;
        char *d = body;
        p = body;
        for (;;) {
            size_t k = strtoul(p, 0, 16);
            char *q = memmem(p, end - p, "\r\n", 2) + 2;
            if (!k)
                break;
            memmove(d, q, k);
            d += k;
            p = q + k + 2;
        }
        bl = d - body;
        *d = 0;
    }
    int fmt = JSON;
    if ((v = hdr(base, eoh, "upstash-encoding")) && !strncasecmp(v, "base64", 6))
        fmt = JB64;
    if ((v = hdr(base, eoh, "upstash-response-format")) && !strncasecmp(v, "resp2", 5))
        fmt = RESP;
    char *path = memchr(base, ' ', hl) + 1;
    char *pe = memchr(path, ' ', hl - (path - base));
    char *qm = memchr(path, '?', pe - path);
    if (qm)
        pe = qm;
    size_t pn = pe - path;
    tmp.n = 0;
    char *bend = body + bl;
    char save = *bend;
    *bend = 0;
    if (pn == 9 && !memcmp(path, "/pipeline", 9)) {
        char *p = ws(body);
        p = ws(p + 1);
        int k = 0;
        if (fmt != RESP)
            bput(&tmp, "[", 1);
        Buf all = {0};
        while (p < bend && *p == '[') {
            p = parse_cmd(p, bend);
            if (!p)
                break;
            if (k++ && fmt != RESP)
                bput(&tmp, ",", 1);
            if (fmt != RESP)
                bputs(&tmp, "{\"result\":");
            run_cmd(&tmp, fmt);
            if (fmt != RESP)
                bput(&tmp, "}", 1);
            p = ws(p);
            if (*p == ',')
                p = ws(p + 1);
        }
        if (fmt != RESP)
            bput(&tmp, "]", 1);
        else {
            char t[24];
            bput(&all, t, sprintf(t, "*%d\r\n", k));
            bput(&all, tmp.p, tmp.n);
            free(tmp.p);
            tmp = all;
        }
    } else {
        nargs = 0;
        if (pn > 1) {
            char *p = path + 1;
            *pe = '/';
            while (p < pe) {
                char *q = memchr(p, '/', pe - p + 1);
                addarg(p, decode_percent(p, q - p));
                p = q + 1;
            }
            if (bl)
                addarg(body, bl);
        } else
            parse_cmd(body, bend);
        if (fmt != RESP)
            bputs(&tmp, "{\"result\":");
        run_cmd(&tmp, fmt);
        if (fmt != RESP)
            bput(&tmp, "}", 1);
    }
    *bend = save;
    // As many headers as the real service sends, of the same length.
    char h[512];
    int k = sprintf(
        h,
        "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Origin: "
        "*\r\nContent-Type: %s\r\nStrict-Transport-Security: max-age=31536000; "
        "includeSubDomains\r\nUpstash-Sync-Token: AAAAAAAAAAAAAAAAAAAAAA==\r\nDate: Mon, 01 Jan "
        "2026 00:00:00 GMT\r\nContent-Length: %zu\r\n\r\n",
        fmt == RESP ? "application/octet-stream" : "application/json", tmp.n);
    bput(&c->out, h, k);
    bput(&c->out, tmp.p, tmp.n);
    return used;
}
static void process(Conn *c) {
    size_t o = 0, u;
    while (c->in.n - o && (u = one(c, c->in.p + o, c->in.n - o)))
        o += u;
    if (o) {
        memmove(c->in.p, c->in.p + o, c->in.n - o);
        c->in.n -= o;
    }
}
static int listen_on(int port) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(s, (void *)&a, sizeof a) || listen(s, 512)) {
        perror("bind");
        exit(1);
    }
    return s;
}
typedef struct {
    Conn c;
    int tls;
} Lst; // c.fd = listener, c.hs = -1 marks listener
int main(int ac, char **av) {
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(0);
    delay_us = atol(av[5]);
    ctx = SSL_CTX_new(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(ctx, av[6]) != 1 ||
        SSL_CTX_use_PrivateKey_file(ctx, av[7], SSL_FILETYPE_PEM) != 1) {
        fprintf(stderr, "cert\n");
        return 1;
    }
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    Lst L[4];
    memset(L, 0, sizeof L);
    for (int i = 0; i < 4; i++) {
        L[i].c.fd = listen_on(atoi(av[1 + i]));
        L[i].c.hs = -1;
        L[i].tls = i & 1;
        L[i].c.delay = i >= 2;
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &L[i]};
        epoll_ctl(ep, EPOLL_CTL_ADD, L[i].c.fd, &e);
    }
    struct epoll_event ev[256];
    static char rb[1 << 18];
    for (;;) {
        // Delayed responses: poll without waiting in the last millisecond, exact to about 50 us.
        int to = -1;
        if (qh) {
            uint64_t t = now_us();
            to = qh->due <= t ? 0 : (int)((qh->due - t) / 1000);
        }
        int n = epoll_wait(ep, ev, 256, to);
        for (int i = 0; i < n; i++) {
            Conn *c = ev[i].data.ptr;
            if (c->hs == -1) {
                int fd;
                while ((fd = accept4(c->fd, 0, 0, SOCK_NONBLOCK)) >= 0) {
                    int on = 1;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                    Conn *d = calloc(1, sizeof *d);
                    d->fd = fd;
                    d->delay = c->delay;
                    if (((Lst *)c)->tls) {
                        d->ssl = SSL_new(ctx);
                        SSL_set_fd(d->ssl, fd);
                        SSL_set_accept_state(d->ssl);
                    }
                    struct epoll_event e = {.events = EPOLLIN, .data.ptr = d};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            if (c->fd < 0)
                continue;
            if (!c->queued && c->out.n) {
                int r = flush_out(c);
                if (r < 0) {
                    drop(c);
                    continue;
                }
                if (r == 1)
                    continue;
            }
            int bad = 0;
            for (;;) {
                ssize_t r;
                if (c->ssl) {
                    r = SSL_read(c->ssl, rb, sizeof rb);
                    if (r <= 0) {
                        int e = SSL_get_error(c->ssl, r);
                        if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
                            bad = 1;
                        break;
                    }
                } else {
                    r = recv(c->fd, rb, sizeof rb, 0);
                    if (r <= 0) {
                        if (r == 0 || errno != EAGAIN)
                            bad = 1;
                        break;
                    }
                }
                bput(&c->in, rb, r);
                if (!c->ssl && r < (ssize_t)sizeof rb)
                    break;
                if (c->ssl && !SSL_pending(c->ssl)) {
                    if (r < 16384)
                        break;
                }
            }
            if (bad) {
                drop(c);
                continue;
            }
            bgrow(&c->in, 1);
            process(c);
            if (c->out.n && !c->queued) {
                if (c->delay && delay_us) {
                    c->due = now_us() + delay_us;
                    c->qn = 0;
                    c->queued = 1;
                    if (qt)
                        qt->qn = c;
                    else
                        qh = c;
                    qt = c;
                } else if (flush_out(c) < 0)
                    drop(c);
            }
        }
        if (qh) {
            uint64_t t = now_us();
            while (qh && qh->due <= t) {
                Conn *c = qh;
                qh = c->qn;
                if (!qh)
                    qt = 0;
                c->queued = 0;
                if (c->dead) {
                    drop(c);
                    continue;
                }
                if (flush_out(c) < 0)
                    drop(c);
            }
        }
    }
}
