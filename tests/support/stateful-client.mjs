/**
 * A stock client with stateful and automatic reconnect, as a program: prints what happens to it and
 * ends with code 0 once its connection is closed for good.
 *
 * Arguments: a hub's URL, `json` or `messagepack`.
 */

import {
  HttpTransportType,
  HubConnectionBuilder,
  JsonHubProtocol,
  LogLevel,
} from "@microsoft/signalr";
import { MessagePackHubProtocol } from "@microsoft/signalr-protocol-msgpack";

const [url, protocol] = process.argv.slice(2);
const connection = new HubConnectionBuilder()
  .withUrl(url, HttpTransportType.WebSockets)
  .withHubProtocol(
    protocol === "messagepack" ? new MessagePackHubProtocol() : new JsonHubProtocol(),
  )
  .withStatefulReconnect()
  .withAutomaticReconnect([0, 100, 100])
  .configureLogging(LogLevel.None)
  .build();
connection.onreconnecting(() => console.log("reconnecting"));
connection.onreconnected(() => console.log("reconnected"));
connection.onclose(() => console.log("closed"));
await connection.start();
console.log("connected");
