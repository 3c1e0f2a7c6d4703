package com.example

import com.google.protobuf.struct
import com.google.protobuf.value
import io.grpc.Grpc
import io.grpc.InsecureChannelCredentials
import io.grpc.Metadata
import io.grpc.TlsChannelCredentials
import java.io.File
import java.util.concurrent.TimeUnit.SECONDS
import kotlinx.coroutines.runBlocking
import latchkey.session.v1.SessionServiceGrpcKt.SessionServiceCoroutineStub
import latchkey.session.v1.createSessionRequest
import latchkey.session.v1.getSessionRequest

/** Creates a session and reads it. */
fun main() = runBlocking {
    val address = System.getenv("ADDRESS") ?: "localhost:50051"
    val ca = System.getenv("CA") // a PEM file: TLS
    val key = System.getenv("KEY") // an API key

    val transport =
        if (ca == null) InsecureChannelCredentials.create()
        else TlsChannelCredentials.newBuilder().trustManager(File(ca)).build()
    val headers = Metadata()
    if (key != null) {
        headers.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer $key")
    }
    val channel = Grpc.newChannelBuilder(address, transport).build()
    val client = SessionServiceCoroutineStub(channel)
    fun sessions() = client.withDeadlineAfter(5, SECONDS) // counts from here: once for each call

    val created = sessions().createSession(
        createSessionRequest {
            app = "shop"
            userId = "ann"
            data = struct { fields["cart"] = value { numberValue = 2.0 } }
        },
        headers,
    )
    val session = sessions().getSession(
        getSessionRequest {
            app = "shop"
            token = created.token
        },
        headers,
    ).session
    val cart = session.data.fieldsMap.getValue("cart").numberValue
    println("${session.userId} ${cart.toInt()}")

    channel.shutdown().awaitTermination(5, SECONDS)
    Unit
}
