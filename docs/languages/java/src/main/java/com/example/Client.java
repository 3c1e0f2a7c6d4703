package com.example;

import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import latchkey.session.v1.SessionServiceGrpc;
import latchkey.session.v1.SessionServiceOuterClass.CreateSessionRequest;
import latchkey.session.v1.SessionServiceOuterClass.GetSessionRequest;

/** Creates a session and reads it. */
public final class Client {
  public static void main(String[] args) throws Exception {
    String address = System.getenv().getOrDefault("ADDRESS", "localhost:50051");
    String ca = System.getenv("CA"); // a PEM file: TLS
    String key = System.getenv("KEY"); // an API key

    ChannelCredentials transport =
        ca == null
            ? InsecureChannelCredentials.create()
            : TlsChannelCredentials.newBuilder().trustManager(new File(ca)).build();
    Metadata headers = new Metadata();
    if (key != null) {
      headers.put(
          Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + key);
    }
    ManagedChannel channel = Grpc.newChannelBuilder(address, transport).build();
    var sessions =
        SessionServiceGrpc.newBlockingStub(channel)
            .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));

    var data =
        Struct.newBuilder().putFields("cart", Value.newBuilder().setNumberValue(2).build());
    var created =
        sessions
            .withDeadlineAfter(5, SECONDS) // counts from here: once for each call
            .createSession(
                CreateSessionRequest.newBuilder()
                    .setApp("shop")
                    .setUserId("ann")
                    .setData(data)
                    .build());
    var session =
        sessions
            .withDeadlineAfter(5, SECONDS)
            .getSession(
                GetSessionRequest.newBuilder()
                    .setApp("shop")
                    .setToken(created.getToken())
                    .build())
            .getSession();
    double cart = session.getData().getFieldsOrThrow("cart").getNumberValue();
    System.out.printf("%s %.0f%n", session.getUserId(), cart);

    channel.shutdown().awaitTermination(5, SECONDS);
  }
}
