// What Swift cannot say: control messages, the vectored datagram calls, and variadic functions. Nothing else belongs here.
#pragma once
