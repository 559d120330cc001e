"""FTP over TLS by ftplib, aioftp and pycurl."""

from harness import BLOCK, HOST, PASSWORD, USER, Task, main

# isort: split
import time

FILE_BY_FILE = ("ftp-files", "ftp-tree")


class Counter:
    """Takes a download and forgets it."""

    def __init__(self) -> None:
        self.octets = 0

    def __call__(self, block: bytes) -> None:
        self.octets += len(block)


def ftplib(task: Task) -> None:
    import ftplib
    import ssl

    client = ftplib.FTP_TLS(context=ssl.create_default_context(cafile=task.ca_file))
    client.connect(HOST, task.port)
    client.login(USER, PASSWORD)
    client.prot_p()
    client.voidcmd("TYPE I")
    taken = Counter()
    start = task.begin()
    count = 0
    if task.operation == "ftp-download":
        client.retrbinary(f"RETR {task.argument}", taken, BLOCK)
        count = taken.octets
    elif task.operation == "ftp-upload":
        with task.file() as file:
            client.storbinary("STOR up/upload.bin", file, BLOCK)
    elif task.operation in FILE_BY_FILE:
        while task.goes_on(count, start):
            client.retrbinary(f"RETR {task.argument}/f{count:05}", taken)
            count += 1
    elif task.operation == "ftp-list":
        count = len(list(client.mlsd(task.argument)))
    seconds = time.perf_counter() - start
    client.quit()
    task.report_seconds(seconds, count)


def aioftp(task: Task) -> None:
    import asyncio
    import ssl

    import aioftp

    async def download(client: aioftp.Client, name: str) -> int:
        octets = 0
        async with client.download_stream(name) as stream:
            async for block in stream.iter_by_block(BLOCK):
                octets += len(block)
        return octets

    async def run() -> None:
        client = aioftp.Client()
        await client.connect(HOST, task.port)
        await client.upgrade_to_tls(ssl.create_default_context(cafile=task.ca_file))
        await client.login(USER, PASSWORD)
        start = task.begin()
        count = 0
        if task.operation == "ftp-download":
            count = await download(client, task.argument)
        elif task.operation == "ftp-upload":
            async with client.upload_stream("up/upload.bin") as stream:
                with task.file() as file:
                    while block := file.read(BLOCK):
                        await stream.write(block)
        elif task.operation in FILE_BY_FILE:
            while task.goes_on(count, start):
                await download(client, f"{task.argument}/f{count:05}")
                count += 1
        elif task.operation == "ftp-list":
            count = len(await client.list(task.argument))
        seconds = time.perf_counter() - start
        await client.quit()
        task.report_seconds(seconds, count)

    asyncio.run(run())


def pycurl(task: Task) -> None:
    import pycurl

    curl = pycurl.Curl()
    base = f"ftp://{HOST}:{task.port}"
    curl.setopt(pycurl.USE_SSL, pycurl.USESSL_ALL)
    curl.setopt(pycurl.CAINFO, task.ca_file)
    curl.setopt(pycurl.USERPWD, f"{USER}:{PASSWORD}")
    curl.setopt(pycurl.FTP_FILEMETHOD, pycurl.FTPMETHOD_NOCWD)
    curl.setopt(pycurl.BUFFERSIZE, 512 << 10)
    # Connects, so that what is measured begins with the transfer.
    curl.setopt(pycurl.URL, f"{base}/")
    curl.setopt(pycurl.NOBODY, 1)
    curl.perform()
    curl.setopt(pycurl.NOBODY, 0)
    curl.setopt(pycurl.HTTPGET, 1)
    taken = Counter()
    curl.setopt(pycurl.WRITEFUNCTION, taken)
    start = task.begin()
    count = 0
    if task.operation == "ftp-download":
        curl.setopt(pycurl.URL, f"{base}/{task.argument}")
        curl.perform()
        count = taken.octets
    elif task.operation == "ftp-upload":
        curl.setopt(pycurl.URL, f"{base}/up/upload.bin")
        curl.setopt(pycurl.UPLOAD, 1)
        curl.setopt(pycurl.UPLOAD_BUFFERSIZE, 1 << 20)
        with task.file() as file:
            curl.setopt(pycurl.READDATA, file)
            curl.perform()
    elif task.operation in FILE_BY_FILE:
        while task.goes_on(count, start):
            curl.setopt(pycurl.URL, f"{base}/{task.argument}/f{count:05}")
            curl.perform()
            count += 1
    seconds = time.perf_counter() - start
    curl.close()
    task.report_seconds(seconds, count)


if __name__ == "__main__":
    main({"ftplib": ftplib, "aioftp": aioftp, "pycurl": pycurl})
