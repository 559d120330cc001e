"""Real servers for the tests, on loopback: of mail, of files, and of others whose connections become TLS.

``install.py`` fetches them, ``pki`` makes their certificates, and one module a daemon has
``serve(...)``, a context manager that writes a configuration of its own, starts the daemon
on free high ports of loopback and stops it. ``catalogue`` has every server by its name, and
``python3 -m tests.servers NAME`` starts one for tests that are not written in Python.
"""
