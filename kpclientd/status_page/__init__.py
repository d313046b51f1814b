"""A page for people who would rather look, its figures in JSON, and metrics for Prometheus; imported where one is on.

    socket --> server --h11--> site --> page.html, page.js, page.css, page.svg
                                    --> snapshots --> formats --> DaemonStatus

Theory of operation. Whoever is on this machine may ask, and must not slow anybody down. So each connection has one
request and one answer, bounded in bytes and time; only some are open at once, where one more takes the place of the
oldest; and only some are accepted in a second. The daemon is asked for its state at most once a second, whoever asks,
and figures are never made unless somebody does.

hypercorn would serve this, too, but it holds on to a client that does not read even when it is cancelled, so that such
a client could keep the daemon from ending; and it speaks HTTP/2 and WebSocket, which is more to attack.

What web pages of other origins might do is prevented in the usual ways: they cannot read what is here, frame it, or
have their own host name resolve to this machine and ask by it. Nothing that is served comes from elsewhere, and the
page's policy lets it load nothing else.
"""
