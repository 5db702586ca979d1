// The AAR. ./make-aar builds the libraries and the generated code before this.
plugins {
    id("com.android.library") version "8.7.3"
    id("org.jetbrains.kotlin.android") version "2.1.0"
}

android {
    namespace = "keepwell.android"
    compileSdk = 35
    defaultConfig {
        minSdk = 26
        consumerProguardFiles("keepwell-rules.pro")
    }
    sourceSets["main"].apply {
        manifest.srcFile("AndroidManifest.xml")
        java.srcDirs("src", "../src", "generated")
        res.srcDirs("res")
        jniLibs.srcDirs("jniLibs")
    }
    kotlinOptions { jvmTarget = "17" }
}

dependencies {
    api("net.java.dev.jna:jna:5.13.0@aar")
    api("org.jetbrains.kotlinx:kotlinx-coroutines-android:1.9.0")
    // Only SyncWorker needs it.
    compileOnly("androidx.work:work-runtime-ktx:2.9.1")
}
