// Of the app where it is installed: the server's web manifest names them.
import "./icon-192.png";
import "./icon-512.png";
import "./icon-apple.png";
import "./icon-maskable.png";
