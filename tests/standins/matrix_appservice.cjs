// A bridge made with the npm package `matrix-appservice`, as small as can be: node matrix_appservice.cjs PACKAGE PORT HS_TOKEN
// What reaches it, it says on its standard output, one JSON object a line.
const [, , package_, port, homeserverToken] = process.argv;
const { AppService } = require(package_);

const says = (what) => console.log(JSON.stringify(what));
const service = new AppService({ homeserverToken });
service.onUserQuery = async (userId) => says({ asked: userId });
service.on("event", (event) => says({ event: event.event_id, room: event.room_id }));
service.on("ephemeral", (event) => says({ ephemeral: event.type, room: event.room_id }));
service.listen(Number(port), "127.0.0.1", 10).then(() => says({ ready: true }));
