"""Logs a user in, reads, updates and watches the session, logs out; then encrypts by RKE.

python example.py ADDRESS [RKE_DOMAIN WALLET_PATH]
"""

from __future__ import annotations

import sys
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from latchkey_client import Client, LatchkeyError, connect, rke, session


def data(**values: Any) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def show_session(client: Client) -> None:
    calls = client.sessions
    created = calls.CreateSession(
        session.CreateSessionRequest(
            app="shop", user_id="ann", ip="192.0.2.7", data=data(cart=["tea"])
        )
    )
    token = created.token
    print("logged in:", created.session.user_id, "as", created.session.session_id)

    with client.watch(session.WatchSessionsRequest(app="shop", user_id="ann")) as watch:
        for response in watch:
            if response.HasField("snapshot"):
                print("watching:", len(response.snapshot.sessions), "session")
            if response.HasField("snapshot_end"):
                break

        read = calls.GetSession(session.GetSessionRequest(app="shop", token=token)).session
        print("read:", MessageToDict(read.data), "version", read.version)

        update = session.UpdateSessionRequest(app="shop", token=token, data=data(paid=True))
        print("updated: version", calls.UpdateSession(update).session.version)

        calls.DeleteSession(session.DeleteSessionRequest(app="shop", token=token))
        for response in watch:
            for event in response.events.events:
                print("watched:", session.SessionEventType.Name(event.type))
                if event.type == session.SESSION_EVENT_TYPE_ENDED:
                    watch.close()

    try:
        calls.GetSession(session.GetSessionRequest(app="shop", token=token))
    except LatchkeyError as error:
        print("logged out:", error.reason)


def show_rke(client: Client, domain: str, wallet_path: str) -> None:
    request = rke.CreateSessionRequest(domain=domain, wallet_path=wallet_path)
    session_id = client.rke.CreateSession(request).session.session_id

    items = [rke.EncryptItem(plaintext="안녕".encode())]
    sealed = client.rke.Encrypt(rke.EncryptRequest(session_id=session_id, items=items))
    encrypted = sealed.results[0].encrypted
    print("encrypted:", len(encrypted.ciphertext), "bytes")

    back = [rke.DecryptItem(ciphertext=encrypted.ciphertext, nonce=encrypted.nonce)]
    opened = client.rke.Decrypt(rke.DecryptRequest(session_id=session_id, items=back))
    print("decrypted:", opened.results[0].plaintext.decode())

    client.rke.DeleteSession(rke.DeleteSessionRequest(session_id=session_id))


def main(address: str, *offered: str) -> None:
    with connect(address) as client:
        show_session(client)
        if offered:
            domain, wallet_path = offered
            show_rke(client, domain, wallet_path)


if __name__ == "__main__":
    main(*sys.argv[1:])
