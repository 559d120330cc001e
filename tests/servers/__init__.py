"""Real servers for the tests, on loopback: Postfix, Exim, Dovecot, vsftpd, ProFTPD, Pure-FTPd.

``install.py`` fetches them, ``pki`` makes their certificates, and one module a daemon has
``serve(...)``, a context manager that writes a configuration of its own, starts the daemon
on free high ports of 127.0.0.1 and stops it. ``python3 -m tests.servers NAME`` does the same
for tests that are not written in Python.
"""
