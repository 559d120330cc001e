"""SMTP by smtplib, aiosmtplib and pycurl."""

from harness import EACH, HOST, PASSWORD, RECIPIENT, SENDER, USER, Task, main

# isort: split
import time


def smtplib(task: Task) -> None:
    import smtplib
    import ssl

    client = smtplib.SMTP(HOST, task.port, local_hostname="localhost")
    client.starttls(context=ssl.create_default_context(cafile=task.ca_file))
    client.login(USER, PASSWORD)
    start = task.begin()
    message = task.message()
    sent = 0
    while task.goes_on(sent, start):
        client.sendmail(SENDER, [RECIPIENT], message)
        sent += 1
    seconds = time.perf_counter() - start
    client.quit()
    task.report_seconds(seconds, sent)


def aiosmtplib(task: Task) -> None:
    import asyncio
    import ssl

    import aiosmtplib

    trust = ssl.create_default_context(cafile=task.ca_file)

    async def connected() -> aiosmtplib.SMTP:
        client = aiosmtplib.SMTP(
            hostname=HOST,
            port=task.port,
            start_tls=True,
            tls_context=trust,
            local_hostname="localhost",
            username=USER,
            password=PASSWORD,
            timeout=120,
        )
        await client.connect()
        return client

    async def run() -> None:
        client = await connected()
        start = task.begin()
        message = task.message()
        sent = 0
        while task.goes_on(sent, start):
            await client.sendmail(SENDER, [RECIPIENT], message)
            sent += 1
        seconds = time.perf_counter() - start
        await client.quit()
        task.report_seconds(seconds, sent)

    async def one_of_many(message: bytes) -> None:
        client = await connected()
        for _ in range(EACH):
            await client.sendmail(SENDER, [RECIPIENT], message)
        await client.quit()

    async def many() -> None:
        connections = task.count // EACH
        start = task.begin()
        message = task.message()
        await asyncio.gather(*(one_of_many(message) for _ in range(connections)))
        task.report(start, task.count)

    asyncio.run(many() if task.operation == "smtp-connections" else run())


def pycurl(task: Task) -> None:
    import io

    import pycurl

    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, f"smtp://{HOST}:{task.port}/localhost")
    curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
    curl.setopt(pycurl.CAINFO, task.ca_file)
    curl.setopt(pycurl.USERPWD, f"{USER}:{PASSWORD}")
    if task.operation != "smtp-oneshot":
        # Connects, so that what is measured begins with the message.
        curl.setopt(pycurl.CUSTOMREQUEST, "NOOP")
        curl.perform()
        curl.unsetopt(pycurl.CUSTOMREQUEST)
    curl.setopt(pycurl.MAIL_FROM, SENDER)
    curl.setopt(pycurl.MAIL_RCPT, [RECIPIENT])
    curl.setopt(pycurl.UPLOAD, 1)
    start = task.begin()
    sent = 0
    if task.operation == "smtp-large":
        curl.setopt(pycurl.UPLOAD_BUFFERSIZE, 1 << 20)
        with task.file() as file:
            curl.setopt(pycurl.READDATA, file)
            curl.perform()
        sent = 1
    else:
        message = task.message()
        while task.goes_on(sent, start):
            curl.setopt(pycurl.READFUNCTION, io.BytesIO(message).read)
            curl.perform()
            sent += 1
    seconds = time.perf_counter() - start
    curl.close()
    task.report_seconds(seconds, sent)


if __name__ == "__main__":
    main({"smtplib": smtplib, "aiosmtplib": aiosmtplib, "pycurl": pycurl})
