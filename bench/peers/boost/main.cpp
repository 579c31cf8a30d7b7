// Boost.Fiber's part of the bench: `boost CASE OPERATIONS` prints what it measured as one line of JSON, `boost version`
// which release it is. One thread, as Boost.Fiber's default scheduler has. A case that is timed is done once unmeasured,
// with a tenth of the operations.
#include <boost/context/detail/fcontext.hpp>
#include <boost/fiber/all.hpp>
#include <boost/version.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace fibers = boost::fibers;
namespace context = boost::context::detail;
using fibers::channel_op_status;
using fibers::fiber;

static const std::size_t stack_size = 64 * 1024;

static double seconds(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

static void yield(long n) {
    auto body = [n] {
        for (long i = 0; i < n / 2; i++) boost::this_fiber::yield();
    };
    fiber a(body), b(body);
    a.join();
    b.join();
}

static void answer(context::transfer_t transfer) {
    for (;;) transfer = context::jump_fcontext(transfer.fctx, nullptr);
}

static void raw_switch(long n) {
    std::vector<char> stack(stack_size);
    auto other = context::make_fcontext(stack.data() + stack.size(), stack.size(), answer);
    for (long i = 0; i < n / 2; i++) other = context::jump_fcontext(other, nullptr).fctx;
}

static void spawn(long n) {
    fibers::pooled_fixedsize_stack stacks(stack_size);
    for (long i = 0; i < n; i++) fiber(std::allocator_arg, stacks, [] {}).join();
}

static void spawn_batch(long n) {
    fibers::pooled_fixedsize_stack stacks(stack_size);
    for (long i = 0; i < n; i += 1000) {
        std::vector<fiber> all;
        all.reserve(1000);
        for (int j = 0; j < 1000; j++) all.emplace_back(std::allocator_arg, stacks, [] {});
        for (auto& one : all) one.join();
    }
}

template <typename Channel>
static void ping_pong(long n, Channel& ping, Channel& pong) {
    fiber other([&] {
        long x;
        while (ping.pop(x) == channel_op_status::success) pong.push(x);
    });
    for (long i = 0; i < n; i++) {
        long x;
        ping.push(i);
        pong.pop(x);
    }
    ping.close();
    other.join();
}

static void ping_pong_0(long n) {
    fibers::unbuffered_channel<long> ping, pong;
    ping_pong(n, ping, pong);
}

// Two is the least room that it has: one slot of them stays empty.
static void ping_pong_1(long n) {
    fibers::buffered_channel<long> ping(2), pong(2);
    ping_pong(n, ping, pong);
}

template <typename Channel>
static void stream(long n, int producers, Channel& channel) {
    std::vector<fiber> all;
    for (int p = 0; p < producers; p++) {
        all.emplace_back([&] {
            for (long i = 0; i < n / producers; i++) channel.push(i);
        });
    }
    for (long i = 0; i < n / producers * producers; i++) {
        long x;
        channel.pop(x);
    }
    for (auto& one : all) one.join();
}

static void stream_0(long n, int producers) {
    fibers::unbuffered_channel<long> channel;
    stream(n, producers, channel);
}

static void stream_room(long n, int producers, int room) {
    fibers::buffered_channel<long> channel(room);
    stream(n, producers, channel);
}

static void mutex(long n, int tasks) {
    fibers::mutex lock;
    long number = 0;
    std::vector<fiber> all;
    for (int t = 0; t < tasks; t++) {
        all.emplace_back([&] {
            for (long i = 0; i < n / tasks; i++) {
                std::lock_guard<fibers::mutex> guard(lock);
                number++;
            }
        });
    }
    for (auto& one : all) one.join();
}

static double resident_bytes() {
    std::ifstream status("/proc/self/status");
    std::string line;
    double kib = 0;
    while (std::getline(status, line)) {
        if (line.rfind("VmRSS:", 0) == 0 || line.rfind("VmPTE:", 0) == 0) kib += std::atol(line.c_str() + 6);
    }
    return kib * 1024;
}

static void memory(long n) {
    double before = resident_bytes(), started = seconds(CLOCK_MONOTONIC);
    for (long i = 0; i < n; i++) {
        fiber(std::allocator_arg, fibers::protected_fixedsize_stack(stack_size),
              [] { boost::this_fiber::sleep_for(std::chrono::hours(1)); })
            .detach();
    }
    boost::this_fiber::yield();
    double elapsed = seconds(CLOCK_MONOTONIC) - started;
    std::printf("{\"bytes\": %f, \"create_ns\": %f}\n", (resident_bytes() - before) / n, elapsed * 1e9 / n);
    std::fflush(stdout);
    std::_Exit(0);
}

int main(int count, char** words) {
    if (count == 2 && !std::strcmp(words[1], "version")) {
        std::printf("Boost %s\n", BOOST_LIB_VERSION);
        return 0;
    }
    const std::map<std::string, void (*)(long)> cases{
        {"yield", yield},
        {"switch", raw_switch},
        {"spawn", spawn},
        {"spawn-batch", spawn_batch},
        {"ping-pong-0", ping_pong_0},
        {"ping-pong-1", ping_pong_1},
        {"stream-1024", [](long n) { stream_room(n, 1, 1024); }},
        {"channel-0", [](long n) { stream_0(n, 1); }},
        {"channel-0-4", [](long n) { stream_0(n, 4); }},
        {"channel-64", [](long n) { stream_room(n, 1, 64); }},
        {"channel-64-4", [](long n) { stream_room(n, 4, 64); }},
        {"mutex-64", [](long n) { mutex(n, 64); }},
    };
    long n = count == 3 ? std::atol(words[2]) : 0;
    if (n > 0 && !std::strcmp(words[1], "memory")) memory(n);
    auto found = n > 0 ? cases.find(words[1]) : cases.end();
    if (found == cases.end()) {
        std::fprintf(stderr, "usage: CASE OPERATIONS, or version\n");
        return 2;
    }
    found->second(n / 10 + 1);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), started = seconds(CLOCK_MONOTONIC);
    found->second(n);
    double elapsed = seconds(CLOCK_MONOTONIC) - started;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    std::printf("{\"ns\": %f, \"cpu_ns\": %f}\n", elapsed * 1e9 / n, cpu * 1e9 / n);
}
